// Each allocation of the addon is refused once, in a program that starts a server and a client and exchanges a message: node
// lab/windows/memory.mjs. A refusal must be an error with a code or have no effect, and afterwards the same engine must do all of it. Connections
// that come and go before they say who they are allocate nothing.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { ZerioClient, ZerioServer } from 'zerio'

const { refuse } = createRequire(import.meta.url)('../../build/windows/refuse_memory.node')
const CODES = ['ZERIO_OUT_OF_MEMORY', 'ECONNRESET', 'ZERIO_HANDSHAKE_FAILED']
const CONNECTIONS = 200

function makeServer(options) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  server.on('error', () => {})
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  return server
}

/** Equal numbers share an engine. Returns its backend. */
async function converse(number) {
  const options = { sendRingBytes: 65_536 + 4096 * number, maxMessageLength: 1024 }
  const server = makeServer(options)
  let client
  try {
    await server.start('server')
    client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
    const answered = once(client, 'message')
    const left = once(client, 'disconnected').then(([reason]) => Promise.reject(reason))
    left.catch(() => {})
    await client.start('client')
    client.send(Buffer.from('oui'))
    await Promise.race([answered, left])
    return server.engine.backend
  } finally {
    await client?.stop()
    await server.stop()
  }
}

const open = makeServer({})
await open.start('open')
for (let i = 0; i < CONNECTIONS; i++) {
  // What the C++ library allocates once is the first one's.
  if (i === 1) refuse(0)
  const socket = connect(open.listeningPort, '127.0.0.1').resume()
  socket.on('error', () => {}).end()
  await once(socket, 'close')
}
const allocated = refuse(0)
if (allocated > 0) throw new Error(`${allocated} allocations for ${CONNECTIONS} connections`)
await open.stop()

refuse(0)
const backend = await converse(1)
const allocations = refuse(0)
const outcomes = {}
for (let n = 1; n <= allocations; n++) {
  refuse(n)
  const outcome = await converse(1 + n).then(
    () => 'unnoticed',
    ({ code }) => code
  )
  refuse(0)
  if (outcome !== 'unnoticed' && !CODES.includes(outcome)) throw new Error(`allocation ${n}: ${outcome}`)
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  await converse(1 + n)
}
if (!(outcomes.ZERIO_OUT_OF_MEMORY > 0)) throw new Error('nothing was refused')
console.log(`round 1: ${backend} ${JSON.stringify(outcomes)}`)
