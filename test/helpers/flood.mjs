// A worker that floods a server with empty messages, from as many connections as there are ids, and reads all that comes back.
import { connect } from 'node:net'
import { workerData } from 'node:worker_threads'
import { hello } from './wire_raw.mjs'

const EMPTY_MESSAGES = Buffer.alloc(65_536)

for (const id of workerData.ids) {
  const socket = connect(workerData.port, '127.0.0.1')
  socket.on('data', () => {}).on('error', () => {})
  socket.write(hello({ id }))
  const more = () => {
    while (socket.write(EMPTY_MESSAGES));
    socket.once('drain', more)
  }
  more()
}
