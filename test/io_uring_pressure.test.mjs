// What only a completion backend can get wrong: no receive buffer left, full queues, closes with operations in flight.

import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import test from 'ava'
import { SendStatus } from 'zerio'
import { collect, ownEngine, pattern, startClient, startServer } from './helpers/link.mjs'
import { pollUntil, until } from './helpers/until.mjs'
import { connectNative, dataFrame } from './helpers/wire_raw.mjs'

const { native } = createRequire(import.meta.url)('../dist/native.js')
const uring = native.backends.includes('io_uring') && native.probeBackend('io_uring') === 0 ? test : test.skip

const backend = 'io_uring'
// Half of the arena, 8 KiB, is what the kernel has for its receives.
const smallArena = () => ({ ...ownEngine({ waitStrategy: 'blocking' }), backend, receiveArenaBytes: 16_384 })

uring('a greedy peer takes all buffers and starves nobody', async (t) => {
  const server = await startServer(t, smallArena())
  const quiet = []
  let greedy = 0
  server.onMessage = (peer, buffer, offset, length) => {
    if (peer.id !== 'greedy') return quiet.push(buffer.toString('utf8', offset, offset + length))
    greedy += length
  }
  const raw = await connectNative(t, server, 'greedy')
  const clients = []
  for (let i = 0; i < 20; i++) clients.push(await startClient(t, server, `quiet ${i}`))
  const flood = Buffer.concat(Array.from({ length: 100 }, (_, i) => dataFrame(pattern(10_000, i))))
  let flooding = true
  const feed = async () => {
    while (flooding) if (!raw.socket.write(flood)) await once(raw.socket, 'drain')
  }
  const fed = feed()
  await until(() => greedy > 2 ** 20)
  for (let round = 1; round <= 20; round++) {
    for (const client of clients) t.is(client.send(Buffer.from(`round ${round}`)), SendStatus.Sent)
    await until(() => quiet.length === round * clients.length)
  }
  flooding = false
  await fed
  t.is(server.counters.disconnected, 0)
})

uring('many peers at once with few buffers: nothing is lost', async (t) => {
  const server = await startServer(t, smallArena())
  const count = new Map()
  server.onMessage = (peer, buffer, offset, length) => {
    const seen = count.get(peer.id) ?? 0
    if (length !== 3000 || buffer.readUInt32LE(offset) !== seen)
      t.fail(`${peer.id}: message ${seen} is another`)
    count.set(peer.id, seen + 1)
  }
  const raws = []
  for (let i = 0; i < 40; i++) raws.push(await connectNative(t, server, `peer ${i}`))
  const MESSAGES = 100
  for (let n = 0; n < MESSAGES; n++) {
    const payload = Buffer.alloc(3000)
    payload.writeUInt32LE(n)
    for (const raw of raws) raw.socket.write(dataFrame(payload))
  }
  await until(() => raws.every((_, i) => count.get(`peer ${i}`) === MESSAGES))
  t.pass()
})

uring('completions that nobody takes for long overflow and are not lost', async (t) => {
  const options = { ...ownEngine({ waitStrategy: 'manual' }), backend }
  const server = await startServer(t, options)
  const raws = []
  for (let i = 0; i < 30; i++) {
    const connecting = connectNative(t, server, `peer ${i}`)
    let connected = false
    connecting.then(() => {
      connected = true
    })
    await pollUntil(server, () => connected)
    raws.push(await connecting)
  }
  const got = collect(server)
  const ROUNDS = 700
  for (let round = 0; round < ROUNDS; round++) {
    for (const raw of raws) raw.socket.write(dataFrame(Buffer.from([round & 255])))
    // The sockets write, and the kernel receives; nobody polls.
    await new Promise(setImmediate)
  }
  await pollUntil(server, () => got.length === ROUNDS * raws.length)
  t.is(got.length, ROUNDS * raws.length)
})

uring('connections that end with everything in flight leave nothing behind', async (t) => {
  const server = await startServer(t, { ...ownEngine({ waitStrategy: 'blocking' }), backend, lingerMs: 20 })
  const descriptors = () => readdirSync('/proc/self/fd').length
  const before = descriptors()
  for (let round = 0; round < 10; round++) {
    const raws = []
    for (let i = 0; i < 20; i++) raws.push(await connectNative(t, server, `peer ${i}`))
    for (const raw of raws) raw.socket.pause()
    const message = pattern(60_000)
    for (const raw of raws) raw.write(dataFrame(message))
    for (let n = 0; n < 200; n++) for (const peer of server.peers) peer.send(message)
    for (const [i, raw] of raws.entries()) {
      if (i % 3 === 0) raw.socket.resetAndDestroy()
      else if (i % 3 === 1) server.peer(`peer ${i}`)?.close(4000, 'enough')
      else raw.socket.end()
    }
    await until(() => server.peerCount === 0)
    for (const raw of raws) raw.socket.destroy()
  }
  await until(() => descriptors() <= before)
  t.is(server.counters.connected, server.counters.disconnected)
})
