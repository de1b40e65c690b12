// The sending side of one-way throughput with ws: one send() per message, and a wait until a batch is written.
import WebSocket from 'ws'
import { format } from '../../lib/message.mjs'
import { fail, readFlags, report } from '../../lib/program.mjs'

const { nextSequence, PAYLOAD_BYTES, writeFields } = format

const BATCH_MESSAGES = 1_024
const { port } = readFlags({ port: 0 })
const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false })
let sequence = 0

function nextMessage() {
  // ws masks in place and keeps the bytes until they are written, so each message needs its own.
  const message = Buffer.allocUnsafe(PAYLOAD_BYTES)
  writeFields(new DataView(message.buffer, message.byteOffset, message.length), 0, sequence)
  sequence = nextSequence(sequence)
  return message
}

// The last message of a batch says when it was written.
function send() {
  if (socket.readyState !== WebSocket.OPEN) return
  for (let i = 1; i < BATCH_MESSAGES; i++) socket.send(nextMessage())
  socket.send(nextMessage(), sent)
}

function sent(error) {
  if (!error) send()
}

socket.on('open', send)
socket.on('error', (error) => {
  if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') fail(error.message)
})
socket.on('close', () => report({ sent: sequence }))
