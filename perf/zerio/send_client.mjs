// The sending side of zerio's one-way throughput with send(): a message is written into a buffer, then copied.
import { format } from '../lib/message.mjs'
import { MESSAGES_PER_TURN, makeSender, runSender } from '../lib/sender.mjs'

const { nextSequence, writeFields } = format

const { client, strategy, bytes, flushEach } = makeSender()
const message = Buffer.alloc(bytes)
const view = new DataView(message.buffer, message.byteOffset, message.length)
let sequence = 0

function sendSome() {
  let next = sequence
  let status = 0
  for (let i = 0; i < MESSAGES_PER_TURN; i++) {
    writeFields(view, 0, next)
    status = client.send(message)
    if (status !== 0) break
    if (flushEach) client.flush()
    next = nextSequence(next)
  }
  sequence = next
  return status
}

await runSender(client, strategy, sendSome)
