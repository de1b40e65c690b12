// The sending side of zerio's long messages: sends one after the other as fast as they are taken, or, with --echo, the next one when the
// one before has come back.
import { SendStatus, ZerioClient } from 'zerio'
import { fail, LONG_FLAGS, readFlags, report } from '../lib/program.mjs'
import { runUntil, Signal } from '../lib/signal.mjs'

const flags = readFlags({ ...LONG_FLAGS, port: 0 })
const message = Buffer.alloc(flags.bytes)
const view = new DataView(message.buffer, message.byteOffset, message.length)
const finished = new Signal()
const client = new ZerioClient(
  { host: '127.0.0.1', port: flags.port },
  { waitStrategy: flags.strategy, backend: flags.backend, maxMessageLength: flags.bytes }
)
client.on('disconnected', () => finished.set())

let sequence = 0

/** As many as are taken, but not so many that nothing else gets its turn. */
function sendSome() {
  let status = SendStatus.Sent
  for (let i = 0; i < 1000 && status === SendStatus.Sent; i++) {
    view.setUint32(0, sequence, true)
    status = client.send(message)
    if (status === SendStatus.Sent) sequence++
  }
  return status
}

function sendAndYield() {
  if (finished.isSet) return
  const status = sendSome()
  if (status === SendStatus.Sent) setImmediate(sendAndYield)
  else if (status !== SendStatus.BackPressured) finished.set()
}

const times = []
let begun = 0

function sendOne() {
  view.setUint32(0, sequence++, true)
  begun = performance.now()
  if (client.send(message) !== SendStatus.Sent) fail('long: a message was refused')
  client.flush()
}

function takeEcho() {
  const now = performance.now()
  if (now - started > flags.warmupMs) times.push(begun * 1e6, now * 1e6)
  if (now - started < flags.warmupMs + flags.durationMs) sendOne()
  else finished.set()
}

await client.start('long')
const started = performance.now()
if (flags.echo) {
  client.onMessage = takeEcho
  sendOne()
} else {
  client.on('drain', sendAndYield)
  sendAndYield()
}
await runUntil(client, flags.strategy, finished)
await client.stop()
if (flags.echo) {
  const trips = times.filter((_, i) => i % 2 === 1).map((end, i) => (end - times[2 * i]) / 1e3)
  trips.sort((a, b) => a - b)
  report({ p50Us: trips[trips.length >> 1], p99Us: trips[Math.floor(trips.length * 0.99)] })
} else {
  report({})
}
