// The receiving side of node:net's hand-batched baseline as it is usually written: each message is a Buffer of its own over
// the bytes received, and what is left of a chunk is put in front of the next one.
import { createServer } from 'node:net'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'
import { Rate } from '../lib/rate.mjs'

const { HEADER_BYTES, QUANTITY_AT, sequenceOf } = format

const { warmupMs, durationMs } = readFlags({ warmupMs: 500, durationMs: 1000 })

let count = 0
let quantities = 0
let sequence = 0

function onMessage(message) {
  quantities = (quantities + message.readInt32LE(QUANTITY_AT)) | 0
  sequence = message.readInt32LE(0)
  count++
}

const server = createServer({ noDelay: true }, (socket) => {
  server.close()
  const rate = new Rate(warmupMs, durationMs)
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (bytes.length - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + bytes.readUInt32LE(at)
      if (end > bytes.length) break
      onMessage(bytes.subarray(at + HEADER_BYTES, end))
      at = end
    }
    rest = bytes.subarray(at)
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
