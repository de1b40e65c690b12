// The sending side of node:net's plain one-way baseline: one write() per message.
import { connect } from 'node:net'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'

const { HEADER_BYTES, nextSequence, PAYLOAD_BYTES, writeFields } = format

const { port } = readFlags({ port: 0 })

let sequence = 0
let sent = 0

function send() {
  let accepts = true
  while (accepts && !socket.destroyed) {
    // The socket keeps the bytes until they are written, so each message needs its own.
    const frame = Buffer.allocUnsafe(HEADER_BYTES + PAYLOAD_BYTES)
    frame.writeInt32LE(PAYLOAD_BYTES)
    writeFields(new DataView(frame.buffer, frame.byteOffset, frame.length), HEADER_BYTES, sequence)
    sequence = nextSequence(sequence)
    sent++
    accepts = socket.write(frame)
  }
}

const socket = connect({ host: '127.0.0.1', port, noDelay: true }, send)
socket.on('drain', send)
socket.on('error', (error) => {
  if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') fail(error.message)
})
socket.on('close', () => report({ sent }))
