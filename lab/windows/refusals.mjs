// Each call of Registered I/O is refused once (WSAENOBUFS), in a program that starts a server and a client and exchanges messages: node
// lab/windows/refusals.mjs. A refusal must be an error with a code or have no effect, no message may come twice or differ, and afterwards the same
// engine must do all of it. Before that 300 connections come and go, some of them cut off by the server, and their room in the completion
// queue is given back late: none is refused.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { ZerioClient, ZerioServer } from 'zerio'
import { frame } from '../../test/helpers/classic.mjs'

const { refuse } = createRequire(import.meta.url)('./emulate_rio.cjs')
const KINDS = ['register', 'completion_queue', 'request_queue', 'resize', 'send', 'commit', 'receive']
const CODES = [
  'ZERIO_OUT_OF_MEMORY',
  'ZERIO_BACKEND_UNAVAILABLE',
  'ZERIO_HANDSHAKE_FAILED',
  // What one side sees of an error of the other.
  'ZERIO_PEER_LEFT',
  'ECONNRESET',
  'ENOBUFS',
  'ENOMEM'
]
const SIZES = [10, 1024, 1025, 5000, 20_000, 50_000, 65_536]
const TIMEOUT_MS = 5000
const CROWD = 300
const AT_ONCE = 30

const allOf = () => SIZES.map((size, i) => Buffer.alloc(size, i + 1))

function within(promise, what) {
  let guard
  const late = new Promise((_, reject) => {
    guard = setTimeout(() => reject(new Error(`${what}: nothing in ${TIMEOUT_MS} ms`)), TIMEOUT_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(guard))
}

/** Equal numbers share an engine. Resolves when all echoes are there and right. */
async function converse(number) {
  const options = { sendRingBytes: 262_144 + 4096 * number }
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  server.on('error', () => {})
  const client = { it: undefined }
  try {
    await server.start('server')
    server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
    client.it = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
    const messages = allOf()
    let echoes = 0
    const answered = new Promise((resolve, reject) => {
      client.it.on('message', (bytes) => {
        if (!bytes.equals(messages[echoes % messages.length])) reject(new Error(`echo ${echoes} differs`))
        if (++echoes === messages.length) resolve()
      })
      client.it.once('disconnected', reject)
    })
    answered.catch(() => {})
    await client.it.start('client')
    for (const message of messages) client.it.send(message)
    await within(answered, 'echoes')
    return server.engine.backend
  } finally {
    await within(Promise.all([client.it?.stop(), server.stop()]), 'stop')
  }
}

async function refuseEach(kind, first) {
  const outcomes = {}
  for (const each of KINDS) refuse(each, 0)
  const backend = await converse(first)
  const calls = refuse(kind, 0)
  for (let n = 1; n <= calls; n++) {
    refuse(kind, n)
    const outcome = await converse(first + n).then(
      () => 'unnoticed',
      (error) => error.code ?? error.message
    )
    refuse(kind, 0)
    if (outcome !== 'unnoticed' && !CODES.includes(outcome))
      throw new Error(`${kind} ${n} of ${calls}: ${outcome}`)
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    await converse(first + n).catch((error) => {
      throw new Error(`after ${kind} ${n} of ${calls} (${outcome}): ${error.code ?? error.message}`)
    })
  }
  return [backend, `${kind} ${JSON.stringify(outcomes)}`]
}

async function comeAndGo() {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  const errors = []
  server.on('error', (error) => errors.push(error.message))
  // With its receives under way, which are over some time later.
  server.onMessage = (peer) => peer.terminate()
  await server.start('server')
  let next = 0
  const visit = async () => {
    for (let i = next++; i < CROWD && errors.length === 0; i = next++) {
      const socket = connect({ host: '127.0.0.1', port: server.listeningPort })
      socket.on('error', ({ code }) => code !== 'ECONNRESET' && errors.push(code))
      socket.write(frame(Buffer.from(`client ${i}`)))
      const answered = Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => {})
      await within(answered, `client ${i}`).catch(({ message }) => errors.push(message))
      if (socket.bytesRead === 0) errors.push(`client ${i} was refused`)
      if (i % 2 === 0) {
        const closed = once(socket, 'close').catch(() => {})
        socket.write(frame(Buffer.from('cut me off')))
        await closed
      }
      socket.destroy()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, visit))
  await server.stop()
  if (errors.length > 0) throw new Error(`clients were refused: ${errors.length} errors, ${errors[0]}`)
}

const failed = []
const seen = []
let backend = ''
function fail({ message }) {
  failed.push(message)
  console.log(message)
}
await comeAndGo().catch(fail)
for (const [index, kind] of KINDS.entries()) {
  await refuseEach(kind, 1 + 100 * index).then(([name, text]) => {
    backend = name
    seen.push(text)
  }, fail)
}
if (failed.length > 0) process.exit(1)
console.log(`round 1: ${backend} ${seen.join(', ')}`)
