// The echo side of ping-pong with ws, without compression as its documentation advises.
import { WebSocketServer } from 'ws'
import { readFlags, report } from '../../lib/program.mjs'
import { EchoMeter, ROUND_TRIP_FLAGS } from '../../lib/round_trips.mjs'

const meter = new EchoMeter(readFlags(ROUND_TRIP_FLAGS))
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
server.on('connection', (socket) => {
  socket.on('message', (message) => {
    socket.send(message, { binary: true })
    meter.echoed()
  })
  socket.on('close', () => {
    report(meter.result)
    server.close()
  })
})
server.on('listening', () => report({ port: server.address().port }))
