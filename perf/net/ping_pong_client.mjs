// The measuring side of node:net's ping-pong baseline. With --meter it measures what it allocates after the warm-up.
import { connect } from 'node:net'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'
import { ROUND_TRIP_FLAGS, RoundTrips } from '../lib/round_trips.mjs'

const { HEADER_BYTES, PAYLOAD_BYTES } = format

const flags = readFlags(ROUND_TRIP_FLAGS)
const roundTrips = new RoundTrips(flags)
const ping = Buffer.alloc(HEADER_BYTES + PAYLOAD_BYTES)
ping.writeInt32LE(PAYLOAD_BYTES)
let receivedBytes = 0

const socket = connect({ host: '127.0.0.1', port: flags.port, noDelay: true }, () => {
  roundTrips.start()
  socket.write(ping)
})
socket.on('data', (chunk) => {
  receivedBytes += chunk.length
  if (receivedBytes < ping.length) return
  receivedBytes = 0
  if (roundTrips.returned()) socket.write(ping)
  else socket.end()
})
socket.on('error', (error) => fail(error.message))
socket.on('close', () => {
  if (!roundTrips.isComplete) fail('the echo side closed')
  report(roundTrips.result)
})
