// A side that closes while it waits for bytes ends the stream: node lab/windows/closing.mjs. The other side, a plain socket, sees all bytes
// and the end, and no reset: of peers and of newcomers, when the server closes and when the client does.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { ZerioClient, ZerioServer } from 'zerio'
import { frame, readFrames } from '../../test/helpers/classic.mjs'
import { hello } from '../../test/helpers/wire_raw.mjs'

const ROUNDS = 10
const BYTES = 30_000
const END_MS = 5000
const LINGER_MS = 60_000

/** Resolves with the bytes that came before the end of the stream. `finish` is called at the end. */
function readToEnd(socket, finish) {
  const ended = new Promise((resolve, reject) => {
    let bytes = 0
    const late = setTimeout(() => reject(new Error(`no end in ${END_MS} ms, after ${bytes} bytes`)), END_MS)
    socket.on('data', (chunk) => {
      bytes += chunk.length
    })
    socket.once('error', reject)
    socket.once('end', () => {
      clearTimeout(late)
      finish(socket)
      resolve(bytes)
    })
  })
  ended.catch(() => {})
  return ended
}

async function serverCloses(how) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  await server.start('server')
  const socket = connect({ host: '127.0.0.1', port: server.listeningPort, allowHalfOpen: true })
  const ended = readToEnd(socket, (it) => it.end())
  socket.write(frame(Buffer.from('plain')))
  const [, peer] = await once(server, 'clientConnected').then(() => ['plain', server.peer('plain')])
  peer.send(Buffer.alloc(BYTES))
  if (how === 'close') peer.close()
  const stopped = how === 'stop' ? server.stop() : undefined
  const bytes = await ended.catch((error) => {
    throw new Error(`server, ${how}: ${error.code ?? error.message}`)
  })
  await (stopped ?? server.stop())
  if (bytes !== 4 + 'plain'.length + 4 + BYTES) throw new Error(`server, ${how}: ${bytes} bytes`)
}

/**
 * A connection that never says who it is, at a server whose time for it is over or that stops. The end does not wait for `lingerMs`,
 * which is longer than END_MS.
 */
async function serverGivesUp(how) {
  const server = new ZerioServer(
    { host: '127.0.0.1', port: 0 },
    { handshakeTimeoutMs: how === 'timeout' ? 50 : 5000, lingerMs: LINGER_MS }
  )
  await server.start('server')
  const socket = connect({ host: '127.0.0.1', port: server.listeningPort, allowHalfOpen: true })
  const ended = readToEnd(socket, (it) => it.end())
  while (server.counters.handshakes === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  const stopped = how === 'stop' ? server.stop() : undefined
  await ended.catch((error) => {
    throw new Error(`newcomer, ${how}: ${error.code ?? error.message}`)
  })
  await (stopped ?? server.stop())
}

/** A peer that says nothing for `idleTimeoutMs`, while the server goes on to send: the end comes behind what was sent. */
async function serverHearsNothing() {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { idleTimeoutMs: 100, lingerMs: LINGER_MS })
  await server.start('server')
  const socket = connect({ host: '127.0.0.1', port: server.listeningPort, allowHalfOpen: true })
  const ended = readToEnd(socket, (it) => it.end())
  socket.write(frame(Buffer.from('plain')))
  await once(server, 'clientConnected')
  const peer = server.peer('plain')
  const talk = setInterval(() => peer.send(Buffer.from('still here')), 5)
  server.once('clientDisconnected', () => clearInterval(talk))
  await ended.catch((error) => {
    throw new Error(`silent peer: ${error.code ?? error.message}`)
  })
  await server.stop()
}

/** A peer that answers no PING: a deadline ends it, and the end comes behind what was sent. */
async function serverMissesAnswers() {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { heartbeatMs: 20, lingerMs: LINGER_MS })
  await server.start('server')
  const socket = connect({ host: '127.0.0.1', port: server.listeningPort, allowHalfOpen: true })
  const ended = readToEnd(socket, (it) => it.end())
  socket.write(hello({ id: 'silent' }))
  await ended.catch((error) => {
    throw new Error(`silent peer: ${error.code ?? error.message}`)
  })
  if (server.counters.heartbeatTimeouts !== 1) throw new Error('silent peer: it was not missed')
  await server.stop()
}

/** A peer that never ends its side: the server closes the connection when lingerMs is over, and stops. */
async function peerStays() {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { lingerMs: 50 })
  await server.start('server')
  const socket = connect({ host: '127.0.0.1', port: server.listeningPort, allowHalfOpen: true })
  socket.on('error', () => {}).resume()
  socket.write(frame(Buffer.from('plain')))
  await once(server, 'clientConnected')
  const late = new Promise((resolve) => setTimeout(resolve, END_MS, 'late').unref())
  const outcome = await Promise.race([server.stop(), late])
  socket.destroy()
  if (outcome === 'late') throw new Error(`a peer that stays: stop took more than ${END_MS} ms`)
}

/** A client that stops before the server has answered. */
async function clientGivesUp() {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const client = new ZerioClient({ host: '127.0.0.1', port: listener.address().port })
  client.start('client').catch(() => {})
  const [socket] = await once(listener, 'connection')
  const ended = readToEnd(socket, (it) => it.end())
  await once(socket, 'data')
  await client.stop()
  await ended.catch((error) => {
    throw new Error(`client that gives up: ${error.code ?? error.message}`)
  })
  listener.close()
}

async function clientCloses() {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const client = new ZerioClient(
    { host: '127.0.0.1', port: listener.address().port },
    { protocol: 'classic' }
  )
  const started = client.start('client')
  const [socket] = await once(listener, 'connection')
  const ended = readToEnd(socket, (it) => it.end())
  readFrames(socket, () => {})
  socket.write(frame(Buffer.from('client')))
  await started
  client.send(Buffer.alloc(BYTES))
  const { backend } = client.engine
  await client.stop()
  const bytes = await ended.catch((error) => {
    throw new Error(`client: ${error.code ?? error.message}`)
  })
  listener.close()
  if (bytes !== 4 + 'client'.length + 4 + BYTES) throw new Error(`client: ${bytes} bytes`)
  return backend
}

const ways = [
  () => serverCloses('close'),
  () => serverCloses('stop'),
  () => serverGivesUp('timeout'),
  () => serverGivesUp('stop'),
  serverHearsNothing,
  serverMissesAnswers,
  peerStays,
  clientGivesUp,
  clientCloses
]
const failed = new Set()
let backend = ''
for (let round = 0; round < ROUNDS && failed.size === 0; round++) {
  for (const way of ways) {
    const name = await way().catch((error) => failed.add(error.message))
    if (typeof name === 'string') backend = name
  }
}
if (failed.size > 0) throw new Error([...failed].join('; '))
console.log(`round 1: ${backend} ${ways.length * ROUNDS} ends without a reset`)
