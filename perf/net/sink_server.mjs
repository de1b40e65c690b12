// The receiving side of node:net's one-way baselines, except the usual one: makes no object for a message, parses the frames out of the stream, and gives each message to
// a handler that does what the one in perf/zerio/sink_server.mjs does.
import { createServer } from 'node:net'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'
import { Rate } from '../lib/rate.mjs'

const { HEADER_BYTES, PAYLOAD_BYTES, QUANTITY_AT, sequenceOf } = format

const { warmupMs, durationMs } = readFlags({ warmupMs: 500, durationMs: 1000 })
const FRAME_BYTES = HEADER_BYTES + PAYLOAD_BYTES

let count = 0
let quantities = 0
let sequence = 0

function onMessage(buffer, offset, _length) {
  quantities = (quantities + buffer.readInt32LE(offset + QUANTITY_AT)) | 0
  count++
}

// Takes the whole frames from the start of the bytes and returns where the first incomplete one begins.
function parse(bytes) {
  let at = 0
  let last = -1
  while (bytes.length - at >= HEADER_BYTES) {
    const length = bytes.readInt32LE(at)
    if (bytes.length - at < HEADER_BYTES + length) break
    last = at + HEADER_BYTES
    onMessage(bytes, last, length)
    at += HEADER_BYTES + length
  }
  if (last >= 0) sequence = bytes.readInt32LE(last)
  return at
}

const server = createServer({ noDelay: true }, (socket) => {
  server.close()
  const rate = new Rate(warmupMs, durationMs)
  // A frame cut off at the end of a chunk waits here for the rest of it.
  const partial = Buffer.alloc(FRAME_BYTES)
  let partialBytes = 0
  socket.on('data', (chunk) => {
    let rest = chunk
    if (partialBytes > 0) {
      const added = chunk.copy(partial, partialBytes)
      partialBytes += added
      if (partialBytes < FRAME_BYTES) return
      parse(partial)
      rest = chunk.subarray(added)
    }
    partialBytes = rest.copy(partial, 0, parse(rest))
    const messagesPerSecond = rate.update(count)
    if (messagesPerSecond === 0) return
    if (sequence !== sequenceOf(count)) fail('messages were lost')
    socket.removeAllListeners('data')
    socket.destroy()
    report({ messagesPerSecond, quantities })
  })
  socket.on('error', (error) => fail(error.message))
})
server.listen(0, '127.0.0.1', () => report({ port: server.address().port }))
