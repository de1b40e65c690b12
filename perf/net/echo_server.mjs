// The echo side of node:net's ping-pong baseline.
import { createServer } from 'node:net'
import { fail, report } from '../lib/program.mjs'

const server = createServer({ noDelay: true }, (socket) => {
  server.close()
  socket.on('data', (chunk) => socket.write(chunk))
  socket.on('error', (error) => fail(error.message))
  socket.on('close', () => report({}))
})
server.listen(0, '127.0.0.1', () => report({ port: server.address().port }))
