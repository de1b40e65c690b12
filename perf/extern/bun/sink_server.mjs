// The receiving side of one-way throughput with Bun's TCP: parses frames out of the stream, a field of every message.
import { format } from '../../lib/message.mjs'
import { fail, readFlags, report } from '../../lib/program.mjs'
import { Rate } from '../../lib/rate.mjs'

const { HEADER_BYTES, QUANTITY_AT, sequenceOf } = format

const { warmupMs, durationMs } = readFlags({ warmupMs: 500, durationMs: 1000 })
const rate = new Rate(warmupMs, durationMs)
let rest = Buffer.alloc(0)
let count = 0
let quantities = 0
let sequence = 0

function receive(socket, chunk) {
  const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  while (bytes.length - at >= HEADER_BYTES) {
    const end = at + HEADER_BYTES + view.getUint32(at, true)
    if (end > bytes.length) break
    quantities = (quantities + view.getInt32(at + HEADER_BYTES + QUANTITY_AT, true)) | 0
    sequence = view.getInt32(at + HEADER_BYTES, true)
    count++
    at = end
  }
  // Bun uses the memory of a chunk again.
  rest = Buffer.from(bytes.subarray(at))
  const messagesPerSecond = rate.update(count)
  if (messagesPerSecond === 0) return
  if (sequence !== sequenceOf(count)) fail('messages were lost')
  report({ messagesPerSecond, quantities })
  socket.end()
  process.exit()
}

const server = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: receive } })
report({ port: server.port })
