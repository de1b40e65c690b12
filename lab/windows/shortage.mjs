// Calls of Registered I/O that fail for good, and errors that are no shortage, in a server with plain clients: node lab/windows/shortage.mjs
//
// For want of memory a connection waits for a second, without keeping the processor busy, and ends with ENOBUFS. An error ends the connection that
// it is about. In either case the server goes on, says nothing of an error of its own, and locks little more than before.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { ZerioServer } from 'zerio'
import { frame, readFrames } from '../../test/helpers/classic.mjs'

const { limit, locked, refuse } = createRequire(import.meta.url)('./emulate_rio.cjs')
const EACH = -1
const NO_LIMIT = Number.MAX_SAFE_INTEGER
const WSAECONNABORTED = 10_053
const TIMEOUT_MS = 8000
// A try each 10 ms while the connection waits, of two calls at most.
const CALLS_MAX = 300
const LOCKED_MAX = 8 * 1024 * 1024
// Room for 64 connections, and for no chunk that connections share.
const LIMIT = 768 * 1024
const CROWD = 128
// A connection's own, and one receive of the two; and steps of 1 MiB.
const IDLE_BYTES = 8192 + 16_384
const IDLE_FOR_ALL = 2.5 * 1024 * 1024
const LONG = Buffer.alloc(60_000, 'long')

function within(promise, what) {
  let guard
  const late = new Promise((_, reject) => {
    guard = setTimeout(() => reject(new Error(`${what}: nothing in ${TIMEOUT_MS} ms`)), TIMEOUT_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(guard))
}

let visitors = 0

/** A client that has sent its id. `echo(bytes)` resolves with true when the answer has come, and with false when the connection has ended. */
function visit(port) {
  const socket = connect({ host: '127.0.0.1', port })
  let answered = () => {}
  let open = true
  const closed = once(socket, 'close').catch(() => {})
  socket.on('error', () => {})
  socket.once('close', () => {
    open = false
    answered(false)
  })
  readFrames(socket, () => answered(true))
  const echo = (bytes) => {
    if (!open) return Promise.resolve(false)
    const came = new Promise((resolve) => (answered = resolve))
    socket.write(frame(bytes))
    return within(came, `${bytes.length} bytes`)
  }
  const end = () => {
    socket.destroy()
    return closed
  }
  return { begun: echo(Buffer.from(`visitor ${visitors++}`)), echo, closed, end }
}

/** A server that echoes, with the errors that it says and the reasons for which its connections end. */
async function serve() {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { lingerMs: 50 })
  const reasons = []
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  server.on('error', (error) => reasons.push(`error ${error.code}`))
  server.on('clientDisconnected', (_id, { code }) => reasons.push(code))
  server.on('refused', ({ code }) => reasons.push(code))
  await server.start('server')
  return { server, reasons, port: server.listeningPort }
}

/** Why connections have ended: the server says it in a later turn. */
async function nextReasons(reasons) {
  const until = performance.now() + TIMEOUT_MS
  while (reasons.length === 0 && performance.now() < until) await pause(1)
  return reasons.splice(0).join(', ')
}

/** The connection ends for the reason `expected`; then all is well again. */
async function judge({ port, reasons }, what, visitor, expected) {
  await within(visitor.closed, what).catch((error) => {
    visitor.end()
    throw error
  })
  const said = await nextReasons(reasons)
  if (said !== expected) throw new Error(`${what}: ended with ${said}`)
  const next = visit(port)
  const works = (await next.begun) && (await next.echo(LONG))
  await next.end()
  if (!works) throw new Error(`${what}: the next connection is refused`)
  await nextReasons(reasons)
}

/** Each call of this kind is refused from the moment at which a connection needs it. */
async function refuseForGood(it, kind) {
  const visitor = visit(it.port)
  const begins = kind === 'request_queue'
  if (!begins) await visitor.begun
  refuse(kind, EACH)
  const talking = (async () => {
    while (await (begins ? visitor.begun : visitor.echo(LONG)));
  })()
  talking.catch(() => {})
  await within(visitor.closed, kind).catch(() => {})
  const calls = refuse(kind, 0)
  if (calls > CALLS_MAX) it.failed.push(`${kind} was tried ${calls} times`)
  await judge(it, `${kind}, refused for good`, visitor, 'ENOBUFS')
}

/** Without notifications the connection is looked at now and then. */
async function withoutNotification(it) {
  const visitor = visit(it.port)
  await visitor.begun
  refuse('notify', EACH)
  for (let i = 0; i < 5; i++) await visitor.echo(LONG)
  // The last one sleeps.
  await pause(200)
  const calls = refuse('notify', 0)
  await visitor.end()
  await nextReasons(it.reasons)
  if (calls > CALLS_MAX) throw new Error(`notify was tried ${calls} times`)
}

/** One call fails as on a connection that has just ended. */
async function fail(it, kind) {
  const begins = kind === 'request_queue' || kind === 'receive'
  if (begins) refuse(kind, 1, WSAECONNABORTED)
  const visitor = visit(it.port)
  await visitor.begun
  if (!begins) refuse(kind, 1, WSAECONNABORTED)
  void visitor.echo(LONG).catch(() => {})
  await judge(it, `${kind}, once`, visitor, 'ECONNABORTED')
  refuse(kind, 0)
}

/** As many connections as there is room for work, with long messages, too, for which there are no chunks; the others end. */
async function underLimit() {
  limit(LIMIT)
  const it = await serve()
  const clients = Array.from({ length: CROWD }, () => visit(it.port))
  const begun = await Promise.all(clients.map(({ begun }) => begun))
  const works = await Promise.all(clients.map(async (client, i) => begun[i] && client.echo(LONG)))
  const { lockedBytes } = it.server.engine
  await Promise.all(clients.map(({ end }) => end()))
  await it.server.stop()
  limit(NO_LIMIT)
  const held = begun.filter(Boolean).length
  if (held === 0 || held === CROWD) throw new Error(`a limit: ${held} of ${CROWD} connections were held`)
  if (works.filter(Boolean).length !== held) throw new Error('a limit: long messages did not come back')
  if (lockedBytes === 0 || locked() > LIMIT) throw new Error(`a limit: ${lockedBytes} bytes were locked`)
  if (!it.reasons.includes('ENOBUFS')) throw new Error(`a limit: ended with ${[...new Set(it.reasons)]}`)
  return held
}

/** Connections that once had a long message and are idle now keep little. */
async function idle({ server, port, reasons }) {
  const clients = Array.from({ length: CROWD }, () => visit(port))
  for (const client of clients) {
    await client.begun
    await client.echo(LONG)
  }
  const { lockedBytes } = server.engine
  await Promise.all(clients.map(({ end }) => end()))
  reasons.length = 0
  if (lockedBytes > CROWD * IDLE_BYTES + IDLE_FOR_ALL)
    throw new Error(`${lockedBytes} bytes are locked for ${CROWD} idle connections`)
}

const failed = []
const attempt = (promise) => promise.catch(({ message }) => failed.push(message))
const held = await attempt(underLimit())
const it = { ...(await serve()), failed }
for (const kind of ['receive', 'request_queue', 'send', 'commit']) await attempt(fail(it, kind))
for (const kind of ['request_queue', 'receive', 'send', 'commit']) await attempt(refuseForGood(it, kind))
await attempt(withoutNotification(it))
if (locked() > LOCKED_MAX) failed.push(`${locked()} bytes were locked`)
await attempt(idle(it))
await it.server.stop()
if (failed.length > 0) throw new Error(failed.join('; '))
console.log(`round 1: ${it.server.engine.backend} goes on, ${held} of ${CROWD} connections under the limit`)
