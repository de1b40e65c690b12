// What only a completion backend can get wrong: no receive buffer left, full queues, closes with operations in flight.

import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { SendStatus } from 'zerio'
import { collect, ownEngine, pattern, startClient, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import { backend, uring } from '../helpers/uring.mjs'
import { connectNative, connectRaw, dataFrame, hello } from '../helpers/wire_raw.mjs'

// Half of the arena, 8 KiB, is what the kernel has for its receives.
const smallArena = () => ({ ...ownEngine({ waitStrategy: 'blocking' }), backend, receiveArenaBytes: 16_384 })

uring('a peer that floods takes all buffers and starves no other peer', async (t) => {
  const server = await startServer(t, smallArena())
  const quiet = []
  let floodBytes = 0
  server.onMessage = (peer, buffer, offset, length) => {
    if (peer.id !== 'flooder') return quiet.push(buffer.toString('utf8', offset, offset + length))
    floodBytes += length
  }
  const raw = await connectNative(t, server, 'flooder')
  const clients = []
  for (let i = 0; i < 20; i++) clients.push(await startClient(t, server, `quiet ${i}`))
  const flood = Buffer.concat(Array.from({ length: 100 }, (_, i) => dataFrame(pattern(10_000, i))))
  let flooding = true
  const feed = async () => {
    while (flooding) if (!raw.socket.write(flood)) await once(raw.socket, 'drain')
  }
  const fed = feed()
  await until(() => floodBytes > 2 ** 20)
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

uring('completions that no poll takes for long overflow and are not lost', async (t) => {
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
    // The sockets write and the kernel receives, while no poll runs.
    await new Promise(setImmediate)
  }
  await pollUntil(server, () => got.length === ROUNDS * raws.length)
  t.is(got.length, ROUNDS * raws.length)
})

// Alone, because it counts descriptors.
uring.serial('connections that end with everything in flight leave nothing behind', async (t) => {
  const server = await startServer(t, { ...ownEngine({ waitStrategy: 'blocking' }), backend, lingerMs: 20 })
  const descriptors = () => readdirSync('/proc/self/fd').length
  // libuv opens a descriptor of its own for the first connection of a loop, and keeps it.
  const first = await connectNative(t, server, 'first')
  first.socket.destroy()
  await until(() => server.peerCount === 0 && first.socket.closed)
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

uring('a completion after a close is not reported', async (t) => {
  const server = await startServer(t, { ...smallArena(), lingerMs: 0 })
  let wrong = 0
  let closed = 0
  server.onMessage = (peer, buffer, offset, length) => {
    const name = peer.id.padEnd(8)
    for (let at = offset; at < offset + length; at += 8)
      if (buffer.toString('latin1', at, at + 8) !== name) wrong++
    if (peer.closing !== true) closed++
    peer.closing = true
    peer.close()
  }
  const ROUNDS = 40
  const EACH = 8
  for (let round = 0; round < ROUNDS; round++) {
    const raws = []
    for (let i = 0; i < EACH; i++) {
      const id = `p${round}.${i}`
      const raw = await connectRaw(t, server.listeningPort)
      const message = dataFrame(Buffer.alloc(4000, id.padEnd(8), 'latin1'))
      // More than its receives bring before it is closed; the next peers take its slot.
      raw.write(Buffer.concat([hello({ id }), ...Array(20).fill(message)]))
      raws.push(raw)
    }
    await until(() => closed === (round + 1) * EACH && server.peerCount === 0)
    for (const raw of raws) raw.socket.destroy()
  }
  t.is(wrong, 0)
})

uring('a broadcast that no socket takes whole arrives whole', async (t) => {
  const ring = { sendRingBytes: 2 ** 21, socketSendBytes: 65_536 }
  const options = { ...ownEngine({ waitStrategy: 'blocking' }), ...ring, backend }
  const server = await startServer(t, options)
  const raws = []
  for (let i = 0; i < 10; i++) raws.push(await connectNative(t, server, `peer ${i}`, { lengthMax: 65_536 }))
  for (const raw of raws) raw.socket.pause()
  const message = (n) => pattern(60_000, n)
  const MESSAGES = 30
  for (let n = 0; n < MESSAGES; n++) {
    t.is(server.broadcast(message(n)), raws.length)
    server.flush()
  }
  const { sendsBlocked } = server.engine.counters
  t.true(sendsBlocked >= raws.length, `${sendsBlocked} sends were short`)
  for (const raw of raws) raw.socket.resume()
  const expected = Buffer.concat(Array.from({ length: MESSAGES }, (_, n) => dataFrame(message(n))))
  for (const raw of raws) {
    await raw.receives(raw.greetingBytes + expected.length)
    t.true(raw.bytes.subarray(raw.greetingBytes).equals(expected))
  }
})
