// A server is started again on its port while the connections of the last one are still known to the system: node lab/windows/restart.mjs
import { once } from 'node:events'
import { connect } from 'node:net'
import { ZerioServer } from 'zerio'
import { frame } from '../../test/helpers/classic.mjs'

const ROUNDS = 5
const CONNECTIONS = 10

let port = 0
let backend = ''
for (let round = 1; round <= ROUNDS; round++) {
  const server = new ZerioServer({ host: '127.0.0.1', port })
  await server.start('server')
  port = server.listeningPort
  backend = server.engine.backend
  const sockets = Array.from({ length: CONNECTIONS }, () => connect({ host: '127.0.0.1', port }))
  for (const [index, socket] of sockets.entries()) {
    socket.on('error', () => {}).resume()
    socket.write(frame(Buffer.from(`client ${index}`)))
  }
  while (server.counters.peers < CONNECTIONS) await new Promise((resolve) => setTimeout(resolve, 1))
  // The server ends the connections, so that its side of them stays in TIME_WAIT.
  const closed = sockets.map((socket) => once(socket, 'close'))
  await server.stop()
  await Promise.all(closed)
}
console.log(`round 1: ${backend} ${ROUNDS} starts on one port`)
