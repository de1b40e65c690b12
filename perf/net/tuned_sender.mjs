// The sending side of a node:net baseline that was tuned as zerio is, doing what its send() does: each message is
// written into a buffer of its own, then copied behind its length into a batch of 64 KiB.
import { format } from '../lib/message.mjs'
import { readFlags } from '../lib/program.mjs'
import { FRAME_BYTES, sendBatches } from './batches.mjs'

const { HEADER_BYTES, nextSequence, PAYLOAD_BYTES, writeFields } = format

const { port } = readFlags({ port: 0 })
const message = Buffer.alloc(PAYLOAD_BYTES)
const messageView = new DataView(message.buffer, message.byteOffset, message.length)
let sequence = 0

sendBatches(port, (bytes, view) => {
  let next = sequence
  for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
    writeFields(messageView, 0, next)
    view.setInt32(at, message.length, true)
    bytes.set(message, at + HEADER_BYTES)
    next = nextSequence(next)
  }
  sequence = next
})
