// The scenario that torture.mjs runs again and again: a server, three clients and a raw peer, traffic in both directions, back-pressure,
// and all ways to end. Whatever a failing call does, each promise must settle, with a documented code where it rejects.
// Arguments: backend, wait strategy. Prints what happened as one JSON line.

import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { hello } from '../../../test/helpers/wire_raw.mjs'

const [backend, waitStrategy] = process.argv.slice(2)
const { Memory } = WebAssembly
let pools = 0
let refused = false
WebAssembly.Memory = class extends Memory {
  constructor(descriptor) {
    if (++pools === Number(process.env.FAIL_NTH) && process.env.FAIL_CALL === 'pool') {
      refused = true
      throw new RangeError('no address space')
    }
    super(descriptor)
  }
}
const faults = []
const events = []
const fault = (text) => faults.push(text)
const options = {
  backend,
  waitStrategy,
  socketSendBytes: 8192,
  socketReceiveBytes: 8192,
  lingerMs: 300,
  sendRingBytes: 131_080
}
const documented = /^(ZERIO_[A-Z_]+|E[A-Z0-9]+)$/

process.on('uncaughtException', (error) => fault(`uncaught: ${error.stack}`))
process.on('warning', (warning) => fault(`warning: ${warning.stack}`))
const descriptors = () => readdirSync('/proc/self/fd').length

/** A promise that does not settle is a fault. */
async function within(ms, promise, what) {
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve('late'), ms)
  })
  const outcome = await Promise.race([
    promise.then(
      () => 'done',
      (error) => error
    ),
    late
  ])
  clearTimeout(timer)
  if (outcome === 'late') fault(`${what} does not end`)
  else if (outcome !== 'done') {
    if (!documented.test(outcome.code ?? '') || outcome.name !== 'ZerioError')
      fault(`${what}: ${outcome.stack}`)
    events.push(`${what}: ${outcome.code}`)
  }
  return outcome === 'done'
}

/** Tries a start that fails once again, which must succeed then. */
async function start(one, id) {
  if (await within(3000, one.start(id), `start of ${id}`)) return true
  if (await within(3000, one.start(id), `second start of ${id}`)) return true
  // The kernel's first answer about a backend holds for the whole process.
  if (events.at(-1).endsWith(': ZERIO_BACKEND_UNAVAILABLE')) return false
  fault(`${id} does not start`)
  return false
}

async function scenario() {
  // The server ignores what send returns, so its ring has room for all echoes.
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { ...options, sendRingBytes: 294_912 })
  server.on('error', (error) => {
    events.push(`server: ${error.code}`)
    if (!documented.test(error.code)) fault(error.stack)
  })
  server.on('clientDisconnected', (id, reason) => events.push(`${id} left: ${reason.code}`))
  server.on('refused', (reason) => events.push(`refused: ${reason.code}`))
  server.onMessage = (peer, buffer, offset, length) => {
    if (length === 1) peer.close(4000, 'as you wish')
    else peer.send(buffer, offset, length)
  }
  if (!(await start(server, 'server'))) return
  if (server.listeningPort === 0) fault('the server does not know its port')
  const clients = await Promise.all(['a', 'b', 'c'].map((id) => talk(server, id)))
  await rawPeer(server)
  await Promise.all(clients.map((client) => within(3000, client.stop(), 'stop of a client')))
  await within(3000, server.stop(), 'stop of the server')
}

/** Sends numbered messages and receives all echoes in order, or learns that the connection is gone. */
async function talk(server, id) {
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
  const over = new Promise((resolve) => {
    client.on('disconnected', (reason) => {
      events.push(`${id}: ${reason.code}`)
      if (!documented.test(reason.code)) fault(`${id}: ${reason.code}`)
      resolve()
    })
  })
  if (!(await start(client, id))) return client
  const total = 12
  let sent = 0
  let heard = 0
  let done
  const allHeard = new Promise((resolve) => {
    done = resolve
  })
  const message = Buffer.alloc(40_000)
  const more = () => {
    while (sent < total) {
      message.writeUInt32LE(sent)
      if (client.send(message, 0, sent % 3 === 0 ? 40_000 : 100) !== SendStatus.Sent) return
      sent++
    }
  }
  client.on('drain', more)
  client.onMessage = (buffer, offset) => {
    if (buffer.view.getUint32(offset, true) !== heard++) fault(`${id}: a message is missing`)
    if (heard === total) done()
  }
  more()
  await within(4000, Promise.race([allHeard, over]), `traffic of ${id}`)
  if (id === 'c' && client.isConnected && client.send(Buffer.alloc(1)) === SendStatus.Sent) {
    await within(4000, over, 'the end that c asked for')
  }
  return client
}

/** Connects, sends a message, and leaves with a reset. */
async function rawPeer(server) {
  const socket = connect(server.listeningPort, '127.0.0.1')
  const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
  const answered = new Promise((resolve) => socket.once('data', resolve))
  socket.write(hello({ id: 'raw' }))
  await within(2000, Promise.race([answered, closed]), 'the answer to a raw peer')
  socket.resetAndDestroy()
  await closed
}

await scenario()
// The call fails once, so the next run must succeed.
await scenario()
for (let i = 0; i < 200 && process.getActiveResourcesInfo().length > 3; i++) await pause(5)
console.log(JSON.stringify({ events, descriptors: descriptors(), pools, refused, faults }))
process.exit(0)
