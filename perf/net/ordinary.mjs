// An ordinary program (perf/lib/ordinary.mjs) that echoes the messages of a crowd (perf/c/crowd.c) with node:net.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { runOrdinary } from '../lib/ordinary.mjs'

let messages = 0
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (chunk) => {
    messages++
    socket.write(chunk)
  })
  socket.on('error', () => socket.destroy())
})
server.listen(0, '127.0.0.1', 1024)
await once(server, 'listening')
await runOrdinary({ port: server.address().port, messages: () => messages })
