// The receiving side of one-way throughput with zeromq: a Pull socket, a field of every message.
import { Pull } from 'zeromq'
import { format } from '../../lib/message.mjs'
import { fail, readFlags, report } from '../../lib/program.mjs'
import { Rate } from '../../lib/rate.mjs'

const { QUANTITY_AT, sequenceOf } = format

const CHECK_MASK = 1023
const { warmupMs, durationMs } = readFlags({ warmupMs: 500, durationMs: 1000 })
const rate = new Rate(warmupMs, durationMs)
let count = 0
let quantities = 0

const socket = new Pull()
await socket.bind('tcp://127.0.0.1:*')
report({ port: Number(socket.lastEndpoint.split(':').pop()) })
for await (const [message] of socket) {
  quantities = (quantities + message.readInt32LE(QUANTITY_AT)) | 0
  count++
  if ((count & CHECK_MASK) !== 0) continue
  if (message.readInt32LE(0) !== sequenceOf(count)) fail('messages were lost')
  const messagesPerSecond = rate.update(count)
  if (messagesPerSecond === 0) continue
  report({ messagesPerSecond, quantities })
  process.exit()
}
