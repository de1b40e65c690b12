// The sending side of the fastest one-way baseline that node:net allows: no messages, only fields written straight
// into a batch of 64 KiB by a loop that knows their size. What zerio's claim() does, without its interface.
import { format } from '../lib/message.mjs'
import { readFlags } from '../lib/program.mjs'
import { FRAME_BYTES, sendBatches } from './batches.mjs'

const { HEADER_BYTES, nextSequence, PAYLOAD_BYTES, writeFields } = format

const { port } = readFlags({ port: 0 })
let sequence = 0

sendBatches(port, (bytes, view) => {
  let next = sequence
  for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
    view.setInt32(at, PAYLOAD_BYTES, true)
    writeFields(view, at + HEADER_BYTES, next)
    next = nextSequence(next)
  }
  sequence = next
})
