// The echo side of ping-pong with Bun's TCP.
import { report } from '../../lib/program.mjs'

const server = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open: (socket) => socket.setNoDelay(true),
    data: (socket, bytes) => socket.write(bytes),
    close: () => {
      report({})
      process.exit()
    }
  }
})
report({ port: server.port })
