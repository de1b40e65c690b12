// The echo side of node:net's ping-pong baseline. With --meter it measures what it allocates after the warm-up.
import { createServer } from 'node:net'
import { fail, readFlags, report } from '../lib/program.mjs'
import { EchoMeter, ROUND_TRIP_FLAGS } from '../lib/round_trips.mjs'

const meter = new EchoMeter(readFlags(ROUND_TRIP_FLAGS))
const server = createServer({ noDelay: true }, (socket) => {
  server.close()
  socket.on('data', (chunk) => {
    socket.write(chunk)
    meter.echoed()
  })
  socket.on('error', (error) => fail(error.message))
  socket.on('close', () => report(meter.result))
})
server.listen(0, '127.0.0.1', () => report({ port: server.address().port }))
