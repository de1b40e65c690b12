// One seeded program of connects, sends of all sizes, pauses, resets and closes, run through each backend: what both sides see
// must be the same, message by message and event by event.

import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { ownEngine, pattern, randomFrom } from './helpers/link.mjs'
import { until } from './helpers/until.mjs'
import { controlFrame, greeting, OPCODE } from './helpers/wire_raw.mjs'

const { native } = createRequire(import.meta.url)('../dist/native.js')
const backends = native.backends.filter((backend) => native.probeBackend(backend) === 0)
const STEPS = 120
const CLIENTS = 6
const SIZES = [0, 1, 3, 4, 17, 100, 1024, 4091, 4096, 16_384, 40_000, 65_536]

const digest = (bytes) => `${bytes.length}:${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}`
const seenBy = (log, id) => {
  if (!log.has(id)) log.set(id, [])
  return log.get(id)
}

/** What each side has seen of each peer, in order. Each step ends when both sides have seen all of it. */
async function run(t, backend, waitStrategy, seed) {
  const random = randomFrom(seed)
  const options = { ...ownEngine({ waitStrategy }), backend, lingerMs: 5000 }
  const atServer = new Map()
  const atClient = new Map()
  let expectedAtServer = 0
  let messagesAtServer = 0
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  t.teardown(() => server.stop())
  server.on('clientConnected', (id) => seenBy(atServer, id).push('+'))
  server.on('clientDisconnected', (id, reason) =>
    seenBy(atServer, id).push(`- ${reason.code} ${reason.local}`)
  )
  server.on('message', (id, bytes, channel) => {
    messagesAtServer++
    seenBy(atServer, id).push(`${channel} ${digest(bytes)}`)
  })
  await server.start('server')
  t.is(server.engine.backend, backend)
  const clients = new Array(CLIENTS)
  let serial = 0

  const steps = {
    async connect(i) {
      if (clients[i] !== undefined) return
      const id = `client ${i}.${serial++}`
      const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
      t.teardown(() => client.stop())
      client.on('message', (bytes, channel) => seenBy(atClient, id).push(`${channel} ${digest(bytes)}`))
      client.on('disconnected', (reason) => seenBy(atClient, id).push(`- ${reason.code} ${reason.local}`))
      await client.start(id)
      await until(() => server.peer(id))
      clients[i] = { id, client }
    },
    async fromClient(i) {
      if (clients[i] === undefined) return
      const messages = 1 + random(30)
      for (let n = 0; n < messages; n++) {
        const bytes = pattern(SIZES[random(SIZES.length)], random(1000))
        const channel = random(4)
        await until(() => clients[i].client.send(bytes, channel) === SendStatus.Sent)
        expectedAtServer++
      }
      await until(() => messagesAtServer === expectedAtServer)
    },
    async fromServer(i) {
      if (clients[i] === undefined) return
      const seen = seenBy(atClient, clients[i].id)
      const peer = server.peer(clients[i].id)
      const want = seen.length + 1 + random(30)
      for (let n = seen.length; n < want; n++) {
        const bytes = pattern(SIZES[random(SIZES.length)], random(1000))
        const channel = random(4)
        await until(() => peer.send(bytes, channel) === SendStatus.Sent)
      }
      await until(() => seen.length === want)
    },
    async broadcast() {
      const bytes = pattern(SIZES[random(9)], random(1000))
      const open = clients.filter((one) => one !== undefined)
      const want = open.map(({ id }) => seenBy(atClient, id).length + 1)
      t.is(server.broadcast(bytes), open.length)
      await until(() => open.every(({ id }, n) => seenBy(atClient, id).length === want[n]))
    },
    async clientStops(i) {
      if (clients[i] === undefined) return
      const { id, client } = clients[i]
      clients[i] = undefined
      client.send(pattern(50_000, random(100)))
      expectedAtServer++
      await client.stop()
      await until(() => server.peer(id) === undefined)
    },
    async serverCloses(i) {
      if (clients[i] === undefined) return
      const { id } = clients[i]
      clients[i] = undefined
      const peer = server.peer(id)
      peer.send(pattern(random(60_000), 1))
      peer.close(4000 + random(100), 'enough')
      await until(() => server.peer(id) === undefined && seenBy(atClient, id).at(-1)?.startsWith('-'))
    },
    // Raw connections: a reset, an end of stream, or a broken frame behind some messages.
    async raw(i) {
      const id = `raw ${i}.${serial++}`
      const how = random(3)
      const socket = connect({ host: '127.0.0.1', port: server.listeningPort })
      t.teardown(() => socket.destroy())
      socket.on('error', () => {}).resume()
      socket.write(controlFrame(OPCODE.hello, greeting({ id })))
      await until(() => server.peer(id))
      const seen = seenBy(atServer, id)
      const count = random(5)
      for (let n = 0; n < count; n++) {
        const header = Buffer.alloc(4)
        header.writeUInt32LE(1000 + n)
        socket.write(Buffer.concat([header, pattern(1000 + n, n)]))
        expectedAtServer++
      }
      await until(() => seen.length === count + 1)
      if (how === 0) socket.resetAndDestroy()
      else if (how === 1) socket.end()
      else socket.write(Buffer.from([0xff, 0xff, 0xff, 0x00]))
      await until(() => seen.at(-1).startsWith('-'))
    }
  }
  const names = Object.keys(steps)
  const program = ['connect', 'connect', 'fromClient', 'fromClient', 'fromServer', 'fromServer', ...names]
  for (let n = 0; n < STEPS; n++) {
    const step = program[random(program.length)]
    await steps[step](random(CLIENTS))
  }
  const { counters } = server
  await server.stop()
  return {
    atServer: [...atServer],
    atClient: [...atClient],
    counters: [counters.connected, counters.disconnected, counters.messagesReceived, counters.bytesReceived]
  }
}

test('there is more than one backend to compare', (t) => {
  t.log(backends.join(', '))
  t.true(backends.length > 0)
})

for (const waitStrategy of ['blocking', 'spin', 'hybrid']) {
  for (const seed of [1, 2]) {
    test.serial(`${backends.join(' and ')} agree: ${waitStrategy}, seed ${seed}`, async (t) => {
      const seen = []
      for (const backend of backends) seen.push(await run(t, backend, waitStrategy, seed))
      for (const other of seen.slice(1)) t.deepEqual(other, seen[0])
      t.true(seen[0].atServer.length > 5)
    })
  }
}
