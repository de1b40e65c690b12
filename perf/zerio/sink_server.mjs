// The receiving side of zerio's one-way throughput: reads a field of every message and counts them; with --runs run by run.
import { Frame, ZerioServer } from 'zerio'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'
import { Rate } from '../lib/rate.mjs'
import { runUntil, Signal } from '../lib/signal.mjs'

const { QUANTITY_AT, sequenceOf } = format

const flags = readFlags({
  strategy: 'blocking',
  backend: 'auto',
  warmupMs: 500,
  durationMs: 1000,
  checkMask: 4095,
  runs: false,
  session: false
})
const rate = new Rate(flags.warmupMs, flags.durationMs)
const finished = new Signal()
let messagesPerSecond = 0
let count = 0
let quantities = 0

const server = new ZerioServer(
  { host: '127.0.0.1', port: 0 },
  { waitStrategy: flags.strategy, backend: flags.backend, sessions: flags.session }
)
server.onMessage = (_peer, buffer, offset) => {
  quantities = (quantities + buffer.view.getInt32(offset + QUANTITY_AT, true)) | 0
  count++
  if ((count & flags.checkMask) === 0) check(buffer.view.getInt32(offset, true))
}
if (flags.runs) server.onRun = readRun
server.on('clientDisconnected', () => {
  if (!finished.isSet) fail(`sink: the sender left after ${count} messages`)
})
server.on('error', (error) => fail(`sink: ${error.message}`))

function readRun(_peer, buffer, offset, end, messages) {
  const { view } = buffer
  let sum = quantities
  let last = offset
  for (let at = offset; at < end; ) {
    last = at + Frame.HeaderBytes
    sum = (sum + view.getInt32(last + QUANTITY_AT, true)) | 0
    at = last + (view.getInt32(at, true) & Frame.LengthMask)
  }
  quantities = sum
  count += messages
  check(view.getInt32(last, true))
}

function check(sequence) {
  if (sequence !== sequenceOf(count)) fail(`sink: message ${count} carries sequence ${sequence}`)
  if (finished.isSet) return
  messagesPerSecond = rate.update(count)
  if (messagesPerSecond > 0) finished.set()
}

await server.start('sink')
report({ port: server.listeningPort })
await runUntil(server, flags.strategy, finished)
await server.stop()
report({ messagesPerSecond, quantities })
