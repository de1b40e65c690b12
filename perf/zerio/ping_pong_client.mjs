// The measuring side of zerio's ping-pong, with any wait strategy: sends a message, and the next one as soon as it
// has come back. Measuring makes no garbage: the clock writes into an array made before. With --meter it measures
// what it allocates after the warm-up (see lib/meter.mjs).
import { readClock, ZerioClient } from 'zerio'
import { format } from '../lib/message.mjs'
import { Meter } from '../lib/meter.mjs'
import { fail, PING_PONG_FLAGS, readFlags, report } from '../lib/program.mjs'
import { runUntil, Signal } from '../lib/signal.mjs'
import { roundTripPercentiles } from '../lib/stats.mjs'

const { PAYLOAD_BYTES } = format

const flags = readFlags({ port: 0, ...PING_PONG_FLAGS })
const total = flags.warmup + flags.count
const meter = flags.meter ? new Meter() : null
const ping = Buffer.alloc(PAYLOAD_BYTES, 0x5a)
const timesNs = new Float64Array(total + 1)
const finished = new Signal()
let received = 0

const client = new ZerioClient(
  { host: '127.0.0.1', port: flags.port },
  { waitStrategy: flags.strategy, backend: flags.backend, session: flags.session }
)

function sendPing() {
  const status = client.send(ping)
  if (status !== 0) fail(`ping: send returned ${status}`)
}

client.onMessage = (_buffer, _offset, length) => {
  received++
  readClock(timesNs, received)
  if (length !== PAYLOAD_BYTES) fail(`ping: ${length} bytes came back`)
  if (meter !== null && received === flags.warmup) meter.start()
  if (received < total) {
    sendPing()
  } else {
    meter?.stop()
    finished.set()
  }
}
client.on('disconnected', () => {
  if (!finished.isSet) fail(`ping: disconnected after ${received} round trips`)
})
client.on('error', (error) => fail(`ping: ${error.message}`))

await client.start('ping')
readClock(timesNs, 0)
sendPing()
client.flush()
await runUntil(client, flags.strategy, finished)
await client.stop()
report({ ...roundTripPercentiles(timesNs.subarray(flags.warmup)), ...meter?.result })
