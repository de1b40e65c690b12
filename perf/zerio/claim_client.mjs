// The sending side of zerio's one-way throughput with claim() and commit(): fields are written in place.
import { format } from '../lib/message.mjs'
import { MESSAGES_PER_TURN, makeSender, runSender } from '../lib/sender.mjs'

const { nextSequence, writeFields } = format

const { client, strategy, bytes, flushEach } = makeSender()
let sequence = 0

function sendSome() {
  const view = client.view
  let next = sequence
  let status = 0
  for (let i = 0; i < MESSAGES_PER_TURN; i++) {
    status = client.claim(bytes)
    if (status < 0) break
    writeFields(view, status, next)
    status = client.commit()
    if (status !== 0) break
    if (flushEach) client.flush()
    next = nextSequence(next)
  }
  sequence = next
  return status
}

await runSender(client, strategy, sendSome)
