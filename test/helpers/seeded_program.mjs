// One seeded program of connects, sends of all sizes, pauses, resets and closes. What both sides see of it must be the same with
// each backend and on each system, message by message and event by event.
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { ownEngine, pattern, randomFrom } from './link.mjs'
import { until } from './until.mjs'
import { controlFrame, framesOf, greeting, OPCODE } from './wire_raw.mjs'

const STEPS = 120
const CLIENTS = 6
const SIZES = [0, 1, 3, 4, 17, 100, 1024, 4091, 4096, 16_384, 40_000, 65_536]

const digest = (bytes) => `${bytes.length}:${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}`
function check(holds, what) {
  if (!holds) throw new Error(`does not hold: ${what}`)
}
const seenBy = (log, id) => {
  if (!log.has(id)) log.set(id, [])
  return log.get(id)
}

/**
 * What each side has seen of each peer, in order. Each step ends when both sides have seen all of it. `teardown(f)` has `f` called
 * when the program is over, however it ended.
 */
export async function runProgram(teardown, backend, waitStrategy, seed) {
  const random = randomFrom(seed)
  // A small socket buffer, so that whoever does not read is soon refused.
  const options = { ...ownEngine({ waitStrategy }), backend, lingerMs: 5000, socketSendBytes: 65_536 }
  const atServer = new Map()
  const atClient = new Map()
  let expectedAtServer = 0
  let messagesAtServer = 0
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  teardown(() => server.stop())
  server.on('clientConnected', (id) => seenBy(atServer, id).push('+'))
  server.on('clientDisconnected', (id, reason) =>
    seenBy(atServer, id).push(`- ${reason.code} ${reason.local}`)
  )
  server.on('message', (id, bytes, channel) => {
    messagesAtServer++
    seenBy(atServer, id).push(`${channel} ${digest(bytes)}`)
  })
  // Those that pause are refused once, and drain when they read on. The others are refused now and then, and whether one that
  // resets drains before it is a matter of time: where sends complete later, the last one may.
  server.on('drain', ({ id }) => {
    if (id.startsWith('paused')) seenBy(atServer, id).push('drain')
  })
  await server.start('server')
  check(server.engine.backend === backend, `${backend} was asked for`)
  // Equal options are one engine: polling the server serves all clients.
  let polling = waitStrategy === 'manual'
  const poll = () => {
    server.poll()
    if (polling) setImmediate(poll)
  }
  if (polling) poll()
  teardown(() => {
    polling = false
  })
  const clients = new Array(CLIENTS)
  let serial = 0

  const steps = {
    async connect(i) {
      if (clients[i] !== undefined) return
      const id = `client ${i}.${serial++}`
      const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
      teardown(() => client.stop())
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
      check(server.broadcast(bytes) === open.length, 'a broadcast reaches all')
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
      teardown(() => socket.destroy())
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
    },
    // A raw connection that does not read until the server is refused, and then reads on, or resets with everything in flight.
    async pause(i) {
      const resets = random(3) === 0
      const id = `${resets ? 'resets' : 'paused'} ${i}.${serial++}`
      const socket = connect({ host: '127.0.0.1', port: server.listeningPort })
      teardown(() => socket.destroy())
      const chunks = []
      let received = 0
      socket
        .on('error', () => {})
        .on('data', (bytes) => {
          received += bytes.length
          chunks.push(bytes)
        })
      socket.write(controlFrame(OPCODE.hello, greeting({ id })))
      await until(() => server.peer(id) && received > 0)
      socket.pause()
      const peer = server.peer(id)
      let expected = received
      let status = SendStatus.Sent
      for (let n = 0; status === SendStatus.Sent; n++) {
        const bytes = pattern(30_000 + ((n * 7919) % 10_000), n)
        status = peer.send(bytes)
        if (status === SendStatus.Sent) expected += 4 + bytes.length
        if (n % 4 === 3) await new Promise(setImmediate)
      }
      check(status === SendStatus.BackPressured, 'who does not read is refused')
      const seen = seenBy(atServer, id)
      if (resets) {
        socket.resetAndDestroy()
      } else {
        socket.resume()
        // How much is accepted before the refusal is a matter of time; that all of it arrives, and the event, are not.
        await until(() => received === expected && seen.at(-1) === 'drain')
        const sizes = framesOf(Buffer.concat(chunks))
        for (const [n, { payload, control }] of sizes.entries())
          check(
            control || payload.equals(pattern(payload.length, n - 1)),
            `${id}: frame ${n} is what was sent`
          )
        socket.end()
      }
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
  // A server has stopped when it has read the ends of all streams; its clients may read theirs later.
  const open = clients.filter((one) => one !== undefined)
  await until(() => open.every(({ id }) => seenBy(atClient, id).at(-1)?.startsWith('-')))
  return {
    atServer: [...atServer],
    atClient: [...atClient],
    counters: [counters.connected, counters.disconnected, counters.messagesReceived, counters.bytesReceived]
  }
}
