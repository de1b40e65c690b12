// The sending side of one-way throughput with zeromq: a Push socket, each send awaited as in its documentation.
import { Push } from 'zeromq'
import { format } from '../../lib/message.mjs'
import { readFlags, report } from '../../lib/program.mjs'

const { nextSequence, PAYLOAD_BYTES, writeFields } = format

const { port } = readFlags({ port: 0 })
const socket = new Push({ linger: 0 })
let sequence = 0
socket.events.on('disconnect', () => {
  report({ sent: sequence })
  process.exit()
})
socket.connect(`tcp://127.0.0.1:${port}`)
for (;;) {
  const message = Buffer.allocUnsafe(PAYLOAD_BYTES)
  writeFields(new DataView(message.buffer, message.byteOffset, message.length), 0, sequence)
  sequence = nextSequence(sequence)
  await socket.send(message)
}
