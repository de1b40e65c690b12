// The sending side of node:net's hand-batched baseline as it is usually written: Buffer's own methods, one batch of 64 KiB
// a write, and a wait for 'drain' when the socket asks for it.
import { connect } from 'node:net'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'

const { HEADER_BYTES, nextSequence, PAYLOAD_BYTES, PRICE_AT, priceOf, QUANTITY_AT, quantityOf } = format

const BATCH_BYTES = 65_536
const FRAME_BYTES = HEADER_BYTES + PAYLOAD_BYTES

const { port } = readFlags({ port: 0 })
const message = Buffer.alloc(PAYLOAD_BYTES)
let sequence = 0
let sent = 0

function fillBatch() {
  // The socket keeps the bytes until they are written, so each batch needs its own.
  const batch = Buffer.allocUnsafe(BATCH_BYTES)
  let at = 0
  while (at + FRAME_BYTES <= BATCH_BYTES) {
    message.writeInt32LE(sequence, 0)
    message.writeInt32LE(quantityOf(sequence), QUANTITY_AT)
    message.writeDoubleLE(priceOf(sequence), PRICE_AT)
    batch.writeUInt32LE(message.length, at)
    message.copy(batch, at + HEADER_BYTES)
    at += FRAME_BYTES
    sequence = nextSequence(sequence)
    sent++
  }
  return batch.subarray(0, at)
}

function send() {
  let accepts = true
  while (accepts && !socket.destroyed) accepts = socket.write(fillBatch())
}

const socket = connect({ host: '127.0.0.1', port, noDelay: true }, send)
socket.on('drain', send)
socket.on('error', (error) => {
  if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') fail(error.message)
})
socket.on('close', () => report({ sent }))
