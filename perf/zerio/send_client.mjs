// The sending side of zerio's one-way throughput with send(): a message is written into a buffer, then copied.
import { ZerioClient } from 'zerio'
import { nextSequence, PAYLOAD_BYTES, writeFields } from '../lib/message.mjs'
import { readFlags, report } from '../lib/program.mjs'
import { MESSAGES_PER_TURN, sendUntilClosed } from '../lib/sender.mjs'

const { port, strategy, backend, bytes, flushEach } = readFlags({
  port: 0,
  strategy: 'blocking',
  backend: 'auto',
  bytes: PAYLOAD_BYTES,
  flushEach: false
})
const client = new ZerioClient({ host: '127.0.0.1', port }, { waitStrategy: strategy, backend })
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

await client.start('sender')
await sendUntilClosed(client, strategy, sendSome)
await client.stop()
report({ backPressured: client.counters.backPressured })
