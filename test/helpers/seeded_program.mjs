// One seeded program of connects, sends of all sizes, pauses, resets and closes. Both sides must see the same messages and events with
// each backend and on each system.
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
/** A run of the program: one server, clients of it that come and go, and what each side has seen of each peer. */
class Run {
  #teardown
  #random
  #options
  #server
  #clients = new Array(CLIENTS)
  #atServer = new Map()
  #atClient = new Map()
  #expectedAtServer = 0
  #messagesAtServer = 0
  #serial = 0
  #polling = false

  constructor(teardown, backend, waitStrategy, seed) {
    this.#teardown = teardown
    this.#random = randomFrom(seed)
    // A small socket buffer, so that sends to a client that does not read are soon refused.
    this.#options = { ...ownEngine({ waitStrategy }), backend, lingerMs: 5000, socketSendBytes: 65_536 }
    this.#server = new ZerioServer({ host: '127.0.0.1', port: 0 }, this.#options)
    teardown(() => this.#server.stop())
  }

  async startServer() {
    const server = this.#server
    server.on('clientConnected', (id) => this.#seenAtServer(id).push('+'))
    server.on('clientDisconnected', (id, reason) =>
      this.#seenAtServer(id).push(`- ${reason.code} ${reason.local}`)
    )
    server.on('message', (id, bytes, channel) => {
      this.#messagesAtServer++
      this.#seenAtServer(id).push(`${channel} ${digest(bytes)}`)
    })
    // A connection that pauses is refused once, and drains when it reads on. The others are refused now and then, and whether one that
    // resets drains before is a matter of time: where sends complete later, the last one may.
    server.on('drain', ({ id }) => {
      if (id.startsWith('paused')) this.#seenAtServer(id).push('drain')
    })
    await server.start('server')
    const { backend, waitStrategy } = this.#options
    check(server.engine.backend === backend, `${backend} was asked for`)
    if (waitStrategy === 'manual') this.#poll()
  }

  /** Equal options are one engine: polling the server serves all clients. */
  #poll() {
    this.#polling = true
    const poll = () => {
      this.#server.poll()
      if (this.#polling) setImmediate(poll)
    }
    poll()
    this.#teardown(() => {
      this.#polling = false
    })
  }

  async takeSteps() {
    const program = [
      'connect',
      'connect',
      'fromClient',
      'fromClient',
      'fromServer',
      'fromServer',
      ...STEP_NAMES
    ]
    for (let n = 0; n < STEPS; n++) {
      const step = program[this.#random(program.length)]
      await this[step](this.#random(CLIENTS))
    }
  }

  async finish() {
    const { counters } = this.#server
    await this.#server.stop()
    // A server has stopped when it has read the ends of all streams; its clients may read theirs later.
    const open = this.#clients.filter((one) => one !== undefined)
    await until(() => open.every(({ id }) => this.#seenAtClient(id).at(-1)?.startsWith('-')))
    return {
      atServer: [...this.#atServer],
      atClient: [...this.#atClient],
      counters: [counters.connected, counters.disconnected, counters.messagesReceived, counters.bytesReceived]
    }
  }

  async connect(i) {
    if (this.#clients[i] !== undefined) return
    const id = `client ${i}.${this.#serial++}`
    const client = new ZerioClient({ host: '127.0.0.1', port: this.#server.listeningPort }, this.#options)
    this.#teardown(() => client.stop())
    client.on('message', (bytes, channel) => this.#seenAtClient(id).push(`${channel} ${digest(bytes)}`))
    client.on('disconnected', (reason) => this.#seenAtClient(id).push(`- ${reason.code} ${reason.local}`))
    await client.start(id)
    await until(() => this.#server.peer(id))
    this.#clients[i] = { id, client }
  }

  async fromClient(i) {
    if (this.#clients[i] === undefined) return
    const messages = 1 + this.#random(30)
    for (let n = 0; n < messages; n++) {
      const { bytes, channel } = this.#message()
      await until(() => this.#clients[i].client.send(bytes, channel) === SendStatus.Sent)
      this.#expectedAtServer++
    }
    await until(() => this.#messagesAtServer === this.#expectedAtServer)
  }

  async fromServer(i) {
    if (this.#clients[i] === undefined) return
    const seen = this.#seenAtClient(this.#clients[i].id)
    const peer = this.#server.peer(this.#clients[i].id)
    const want = seen.length + 1 + this.#random(30)
    for (let n = seen.length; n < want; n++) {
      const { bytes, channel } = this.#message()
      await until(() => peer.send(bytes, channel) === SendStatus.Sent)
    }
    await until(() => seen.length === want)
  }

  async broadcast() {
    const bytes = pattern(SIZES[this.#random(9)], this.#random(1000))
    const open = this.#clients.filter((one) => one !== undefined)
    const want = open.map(({ id }) => this.#seenAtClient(id).length + 1)
    check(this.#server.broadcast(bytes) === open.length, 'a broadcast reaches all')
    await until(() => open.every(({ id }, n) => this.#seenAtClient(id).length === want[n]))
  }

  async clientStops(i) {
    if (this.#clients[i] === undefined) return
    const { id, client } = this.#clients[i]
    this.#clients[i] = undefined
    client.send(pattern(50_000, this.#random(100)))
    this.#expectedAtServer++
    await client.stop()
    await until(() => this.#server.peer(id) === undefined)
  }

  async serverCloses(i) {
    if (this.#clients[i] === undefined) return
    const { id } = this.#clients[i]
    this.#clients[i] = undefined
    const peer = this.#server.peer(id)
    peer.send(pattern(this.#random(60_000), 1))
    peer.close(4000 + this.#random(100), 'enough')
    await until(() => this.#server.peer(id) === undefined && this.#seenAtClient(id).at(-1)?.startsWith('-'))
  }

  /** A raw connection: a reset, an end of stream, or a broken frame behind some messages. */
  async raw(i) {
    const id = `raw ${i}.${this.#serial++}`
    const how = this.#random(3)
    const socket = this.#connectRaw()
    socket.resume().write(controlFrame(OPCODE.hello, greeting({ id })))
    await until(() => this.#server.peer(id))
    const seen = this.#seenAtServer(id)
    const count = this.#random(5)
    for (let n = 0; n < count; n++) {
      const header = Buffer.alloc(4)
      header.writeUInt32LE(1000 + n)
      socket.write(Buffer.concat([header, pattern(1000 + n, n)]))
      this.#expectedAtServer++
    }
    await until(() => seen.length === count + 1)
    if (how === 0) socket.resetAndDestroy()
    else if (how === 1) socket.end()
    else socket.write(Buffer.from([0xff, 0xff, 0xff, 0x00]))
    await until(() => seen.at(-1).startsWith('-'))
  }

  /** A raw connection that does not read until the server is refused, and then reads on, or resets with everything in flight. */
  async pause(i) {
    const resets = this.#random(3) === 0
    const id = `${resets ? 'resets' : 'paused'} ${i}.${this.#serial++}`
    const socket = this.#connectRaw()
    const chunks = []
    let received = 0
    socket.on('data', (bytes) => {
      received += bytes.length
      chunks.push(bytes)
    })
    socket.write(controlFrame(OPCODE.hello, greeting({ id })))
    await until(() => this.#server.peer(id) && received > 0)
    socket.pause()
    const expected = received + (await fillUntilRefused(this.#server.peer(id)))
    const seen = this.#seenAtServer(id)
    if (resets) {
      socket.resetAndDestroy()
    } else {
      socket.resume()
      // How much is accepted before the refusal is a matter of time; that all of it arrives, and the event, are not.
      await until(() => received === expected && seen.at(-1) === 'drain')
      checkFilling(id, Buffer.concat(chunks))
      socket.end()
    }
    await until(() => seen.at(-1).startsWith('-'))
  }

  #message() {
    return { bytes: pattern(SIZES[this.#random(SIZES.length)], this.#random(1000)), channel: this.#random(4) }
  }

  #connectRaw() {
    const socket = connect({ host: '127.0.0.1', port: this.#server.listeningPort })
    this.#teardown(() => socket.destroy())
    return socket.on('error', () => {})
  }

  #seenAtServer(id) {
    return seenIn(this.#atServer, id)
  }

  #seenAtClient(id) {
    return seenIn(this.#atClient, id)
  }
}

const STEP_NAMES = [
  'connect',
  'fromClient',
  'fromServer',
  'broadcast',
  'clientStops',
  'serverCloses',
  'raw',
  'pause'
]

function seenIn(log, id) {
  if (!log.has(id)) log.set(id, [])
  return log.get(id)
}

const fillingOf = (n) => pattern(30_000 + ((n * 7919) % 10_000), n)

/** Sends to a peer that does not read until it is refused. Returns how many bytes of frames were accepted. */
async function fillUntilRefused(peer) {
  let accepted = 0
  let status = SendStatus.Sent
  for (let n = 0; status === SendStatus.Sent; n++) {
    const bytes = fillingOf(n)
    status = peer.send(bytes)
    if (status === SendStatus.Sent) accepted += 4 + bytes.length
    if (n % 4 === 3) await new Promise(setImmediate)
  }
  check(status === SendStatus.BackPressured, 'a send to a peer that does not read is refused')
  return accepted
}

/** Behind WELCOME stands the filling, frame by frame. */
function checkFilling(id, bytes) {
  for (const [n, { payload, control }] of framesOf(bytes).entries())
    check(control || payload.equals(pattern(payload.length, n - 1)), `${id}: frame ${n} is what was sent`)
}

/**
 * What each side has seen of each peer, in order. Each step ends when both sides have seen all of it. `teardown(f)` has `f` called
 * when the program is over, however it ended.
 */
export async function runProgram(teardown, backend, waitStrategy, seed) {
  const run = new Run(teardown, backend, waitStrategy, seed)
  await run.startServer()
  await run.takeSteps()
  return run.finish()
}
