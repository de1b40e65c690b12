// The sending side of zerio's one-way throughput with claimRun(): the fields of many messages are written in place, for one commit.
import { Frame } from 'zerio'
import { format } from '../lib/message.mjs'
import { MESSAGES_PER_TURN, makeSender, runSender } from '../lib/sender.mjs'

const { nextSequence, writeFields } = format

// What the client hands to the system at once.
const RUN_BYTES = 122_880

const { client, strategy, bytes } = makeSender()
const frameBytes = Frame.HeaderBytes + bytes
const runMessages = Math.max(1, Math.floor(RUN_BYTES / frameBytes))
let sequence = 0

function writeRun(view, first, from) {
  let next = from
  let at = first
  for (let i = 0; i < runMessages; i++) {
    writeFields(view, at, next)
    next = nextSequence(next)
    at += frameBytes
  }
  return next
}

function sendSome() {
  const view = client.view
  let status = 0
  for (let sent = 0; sent < MESSAGES_PER_TURN; sent += runMessages) {
    status = client.claimRun(runMessages, bytes)
    if (status < 0) break
    sequence = writeRun(view, status, sequence)
    status = client.commit()
    if (status !== 0) break
  }
  return status
}

await runSender(client, strategy, sendSome)
