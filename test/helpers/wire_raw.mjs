// Both sides of the protocol as bytes: sockets that do exactly what a test says, and nothing by themselves.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { startClient } from './link.mjs'
import { until } from './until.mjs'

export const OPCODE = Object.freeze({
  hello: 1,
  welcome: 2,
  reject: 3,
  ping: 4,
  pong: 5,
  close: 6,
  subscribe: 8,
  unsubscribe: 9,
  subscription: 10
})
/** The extension TOPICS, which the HELLO of zerio's own client has. */
export const TOPICS = Buffer.from([2, 0, 0, 0])
export const CODE = Object.freeze({
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  messageTooLong: 1003,
  handshakeTimeout: 1010,
  malformedHello: 1011,
  unsupportedVersion: 1012,
  invalidPeerId: 1013,
  duplicatePeerId: 1014,
  replaced: 1015,
  serverFull: 1016,
  tooManyHandshakes: 1017,
  unauthorized: 1018,
  heartbeatTimeout: 1019,
  slowConsumer: 1021,
  subscribeRefused: 1022,
  idleTimeout: 1023,
  peerLeft: 2000
})

/** Bytes from hexadecimal digits with spaces between them. */
export const hex = (text) => Buffer.from(text.replaceAll(' ', ''), 'hex')
/** Hexadecimal digits with spaces between the bytes, as in docs/protocol.md. */
export const inHex = (bytes) => bytes.toString('hex').replace(/..(?=.)/g, '$& ')

export function dataFrame(payload, channel = 0) {
  return rawFrame(channel * 2 ** 24, payload)
}

export function controlFrame(opcode, payload = '') {
  return rawFrame(0x80000000 + opcode * 2 ** 24, payload)
}

function rawFrame(high, payload) {
  const bytes = Buffer.from(payload)
  const header = Buffer.alloc(4)
  header.writeUInt32LE(high + bytes.length)
  return Buffer.concat([header, bytes])
}

/** The payload of a HELLO or WELCOME; any field can be set to something wrong. */
export function greeting({
  magic = 0x4f49525a,
  version = 1,
  flags = 0,
  lengthMax = 65536,
  extensionsBytes,
  id = 'raw',
  credential = '',
  extensions = Buffer.alloc(0),
  idBytes = Buffer.from(id).length,
  credentialBytes = Buffer.from(credential).length
} = {}) {
  const fields = Buffer.alloc(16)
  fields.writeUInt32LE(magic)
  fields[4] = version
  fields[5] = flags
  fields.writeUInt16LE(idBytes, 6)
  fields.writeUInt32LE(lengthMax, 8)
  fields.writeUInt16LE(credentialBytes, 12)
  fields.writeUInt16LE(extensionsBytes ?? extensions.length, 14)
  return Buffer.concat([fields, Buffer.from(id), Buffer.from(credential), extensions])
}

export const hello = (fields) => controlFrame(OPCODE.hello, greeting(fields))
export const welcome = (fields) => controlFrame(OPCODE.welcome, greeting({ id: 'server', ...fields }))

export function farewell(opcode, code, reason = '') {
  return controlFrame(opcode, Buffer.concat([Buffer.from([code & 255, code >> 8]), Buffer.from(reason)]))
}

/** The frame that refuses a newcomer. */
export const reject = (code) => farewell(OPCODE.reject, code)

/** All whole frames in `bytes`, which must hold nothing else. */
export function framesOf(bytes) {
  const frames = []
  let at = 0
  while (at < bytes.length) {
    const header = bytes.readUInt32LE(at)
    const length = header % 2 ** 24
    const payload = bytes.subarray(at + 4, at + 4 + length)
    if (payload.length < length) throw new Error(`the last frame is cut: ${inHex(bytes.subarray(at))}`)
    frames.push({ control: header >>> 31 === 1, channel: (header >>> 24) & 127, payload })
    at += 4 + length
  }
  return frames
}

/** One connection as bytes. It reads from the start, unless paused, and never ends by itself. */
export class Raw {
  ended = false
  closed = false
  error = undefined
  #chunks = []

  constructor(t, socket) {
    this.socket = socket
    socket.on('data', (bytes) => this.#chunks.push(bytes))
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('error', (error) => {
      this.error = error
    })
    socket.on('close', () => {
      this.closed = true
    })
    t.teardown(() => socket.destroy())
  }

  /** All bytes so far. */
  get bytes() {
    return Buffer.concat(this.#chunks)
  }

  write(bytes) {
    this.socket.write(bytes)
  }

  /** Waits for at least `count` bytes and returns all there are. */
  async receives(count) {
    await until(() => this.bytes.length >= count || this.closed, `${count} bytes`)
    return this.bytes
  }

  /** Waits for the other side's end of stream, or a reset, and returns all bytes before it. */
  async ends() {
    await until(() => this.ended || this.closed, 'the end of the stream')
    return this.bytes
  }

  /** The frames before the end of the stream. */
  async framesUntilEnd() {
    return framesOf(await this.ends())
  }
}

export async function connectRaw(t, port, host = '127.0.0.1') {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
  const raw = new Raw(t, socket)
  await once(socket, 'connect')
  return raw
}

/** A raw client that has become a native peer. Its WELCOME is no longer among its bytes. */
export async function connectNative(t, server, id = 'raw', fields = {}) {
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ id, ...fields }))
  const expected = 4 + 16 + 'server'.length
  await raw.receives(expected)
  return Object.assign(raw, { greetingBytes: expected })
}

/** A listening socket whose connections are handed out as they come. */
export async function startRawServer(t, host = '127.0.0.1') {
  const connections = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    connections.push(new Raw(t, socket))
  })
  t.teardown(() => server.close())
  server.listen(0, host)
  await once(server, 'listening')
  return {
    port: server.address().port,
    close: () => server.close(),
    async next() {
      await until(() => connections.length > 0, 'a connection')
      return connections.shift()
    }
  }
}

/**
 * A well-behaved client that sends and reads its echo without a pause. `goesOn()` resolves once the server has echoed some more, and
 * rejects when the client was disconnected or an echo was wrong.
 */
export async function startBystander(t, server, id = 'bystander') {
  server.onMessage ??= (peer, buffer, offset, length, channel) => peer.send(buffer, offset, length, channel)
  let echoes = 0
  let trouble
  const message = Buffer.alloc(100, 'b')
  const client = await startClient(t, server, id, { sendRingBytes: 294912 })
  client.onMessage = (buffer, offset, length) => {
    if (length !== message.length || buffer.readUInt32LE(offset) !== echoes) trouble ??= 'a wrong echo'
    message.writeUInt32LE(++echoes)
    client.send(message)
  }
  client.on('disconnected', (reason) => {
    trouble ??= `disconnected: ${reason}`
  })
  message.writeUInt32LE(0)
  client.send(message)
  return {
    client,
    async goesOn() {
      const before = echoes
      await until(() => trouble !== undefined || echoes > before + 10, 'echoes for the bystander')
      if (trouble !== undefined) throw new Error(trouble)
    }
  }
}

/** All events of a server about its connections, in order. */
export function watch(server) {
  const seen = { refused: [], connected: [], disconnected: [], errors: [] }
  server.on('refused', (reason) => seen.refused.push(reason))
  server.on('clientConnected', (id, peer) => seen.connected.push({ id, peer }))
  server.on('clientDisconnected', (id, reason) => seen.disconnected.push({ id, reason }))
  server.on('error', (error) => seen.errors.push(error))
  return seen
}
