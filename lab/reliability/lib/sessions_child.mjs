// One side of sessions.mjs: sends numbered messages of many lengths, and checks the numbers that arrive.
//
//   sessions_child.mjs server|client PORT MESSAGES

import { PerformanceObserver } from 'node:perf_hooks'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'

const [role, port, messages] = process.argv.slice(2).map((value, i) => (i === 0 ? value : Number(value)))
/** So many more are sent when all breaks are over: the steady part. */
const total = messages + Math.floor(messages / 2)
/** The steady part is measured from here on, when the code is optimised and the breaks are over. */
const measuredFrom = messages + Math.floor(messages / 4)
/** Messages that are under way at the beginning. Each that arrives makes room for the next two. */
const AT_FIRST = 256
const LOOK_MS = 20

const faults = []
const bytes = Buffer.alloc(128, role)
let received = 0
let sent = 0
/** V8's number of the kind of each collection of the steady part, and after how many milliseconds it came. */
const collections = []
let measuringSince = Infinity
const began = performance.now()
new PerformanceObserver((list) => {
  // A collection is reported in a later turn.
  for (const { startTime, detail } of list.getEntries())
    if (startTime >= measuringSince) collections.push({ kind: detail.kind, atMs: startTime - measuringSince })
}).observe({ entryTypes: ['gc'] })

function take(buffer, offset, length) {
  const number = buffer.readUInt32LE(offset)
  if (number !== received || length !== lengthOf(number)) {
    faults.push(`message ${number} of ${length} bytes came where ${received} was due`)
    finish()
  }
  received++
  pump(2)
  if (received === measuredFrom) {
    globalThis.gc()
    measuringSince = performance.now()
  }
}

const lengthOf = (number) => 4 + (number % 120)

let end
let resumed = 0
if (role === 'server') {
  const server = new ZerioServer(
    { host: '127.0.0.1', port },
    { sessions: true, heartbeatMs: 50, maxMessageLength: 1024 }
  )
  server.onMessage = (_peer, buffer, offset, length) => take(buffer, offset, length)
  server.on('clientConnected', (_id, peer) => {
    if (end !== undefined) faults.push('a second peer connected')
    end = peer
    pump(AT_FIRST)
  })
  server.on('clientDisconnected', (_id, reason) => {
    if (received < total || reason.code !== 'ZERIO_NORMAL')
      faults.push(`the peer left: ${reason}, after ${received}`)
    resumed = server.counters.resumed
    server.stop().then(finish)
  })
  server.on('drain', () => pump(AT_FIRST))
  await server.start('server')
  setInterval(() => end !== undefined && pump(AT_FIRST), LOOK_MS)
  console.log(JSON.stringify({ port: server.listeningPort }))
} else {
  const options = {
    session: true,
    heartbeatMs: 50,
    reconnect: { delayMs: 2, delayMsMax: 50 },
    maxMessageLength: 1024
  }
  end = new ZerioClient({ host: '127.0.0.1', port }, options)
  end.onMessage = take
  end.on('disconnected', (reason) => {
    if (!reason.local)
      faults.push(`the client was disconnected: ${reason}, ${reason.unacknowledged} not acknowledged`)
    if (!reason.local) finish()
  })
  end.on('drain', () => pump(AT_FIRST))
  await end.start('client')
  pump(AT_FIRST)
  setInterval(() => {
    pump(AT_FIRST)
    if (sent === total && received === total && end.pendingBytes === 0) end.stop().then(finish)
  }, LOOK_MS)
}
const { backend } = await engineOf()

async function engineOf() {
  while (end === undefined) await new Promise(setImmediate)
  return role === 'server' ? { backend: process.env.ZERIO_BACKEND } : end.engine
}

function pump(count) {
  for (let i = 0; i < count && sent < total; i++) {
    bytes.writeUInt32LE(sent)
    if (end.send(bytes, 0, lengthOf(sent)) !== SendStatus.Sent) return
    sent++
  }
}

function finish() {
  const seconds = Math.round((performance.now() - began) / 1000)
  console.log(JSON.stringify({ received, sent, resumed, collections, seconds, backend, faults }))
  process.exit(faults.length > 0 ? 1 : 0)
}
