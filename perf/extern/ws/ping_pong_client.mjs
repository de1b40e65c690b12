// The measuring side of ping-pong with ws.
import WebSocket from 'ws'
import { format } from '../../lib/message.mjs'
import { fail, readFlags, report } from '../../lib/program.mjs'
import { ROUND_TRIP_FLAGS, RoundTrips } from '../../lib/round_trips.mjs'

const { PAYLOAD_BYTES } = format

const flags = readFlags(ROUND_TRIP_FLAGS)
const roundTrips = new RoundTrips(flags)
const ping = Buffer.alloc(PAYLOAD_BYTES)
const socket = new WebSocket(`ws://127.0.0.1:${flags.port}`, { perMessageDeflate: false })
socket.on('open', () => {
  roundTrips.start()
  socket.send(ping)
})
socket.on('message', () => {
  if (roundTrips.returned()) socket.send(ping)
  else socket.close()
})
socket.on('error', (error) => fail(error.message))
socket.on('close', () => {
  if (!roundTrips.isComplete) fail('the echo side closed')
  report(roundTrips.result)
})
