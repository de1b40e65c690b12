// Echoes for a crowd of peers (perf/c/crowd.c) with node:net until stdin ends.
import { createServer } from 'node:net'
import { report } from '../lib/program.mjs'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk))
  socket.on('error', () => socket.destroy())
})
process.stdin.resume().on('end', () => process.exit())
server.listen(0, '127.0.0.1', 1024, () => report({ port: server.address().port }))
