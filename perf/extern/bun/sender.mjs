// The sending side of one-way throughput with Bun's TCP, which buffers nothing by itself: messages are collected in an
// ArrayBufferSink, as its documentation advises, and what a write did not take is written when the socket drains.
import { format } from '../../lib/message.mjs'
import { fail, readFlags, report } from '../../lib/program.mjs'

const { HEADER_BYTES, nextSequence, PAYLOAD_BYTES, writeFields } = format

const BATCH_BYTES = 65_536
const FRAME_BYTES = HEADER_BYTES + PAYLOAD_BYTES
const { port } = readFlags({ port: 0 })
const frame = new Uint8Array(FRAME_BYTES)
const view = new DataView(frame.buffer)
view.setUint32(0, PAYLOAD_BYTES, true)
const sink = new Bun.ArrayBufferSink()
sink.start({ stream: true, asUint8Array: true, highWaterMark: BATCH_BYTES })
let unsent = new Uint8Array(0)
let sequence = 0

function nextBatch() {
  for (let at = 0; at + FRAME_BYTES <= BATCH_BYTES; at += FRAME_BYTES) {
    writeFields(view, HEADER_BYTES, sequence)
    sequence = nextSequence(sequence)
    sink.write(frame)
  }
  return sink.flush()
}

function send(socket) {
  for (;;) {
    if (unsent.length === 0) unsent = nextBatch()
    const taken = socket.write(unsent)
    if (taken < 0) return
    unsent = unsent.subarray(taken)
    if (unsent.length > 0) return
  }
}

Bun.connect({
  hostname: '127.0.0.1',
  port,
  socket: {
    open(socket) {
      socket.setNoDelay(true)
      send(socket)
    },
    drain: send,
    data() {},
    error: (_socket, error) => fail(error.message),
    close() {
      report({ sent: sequence })
      process.exit()
    }
  }
})
