// The measuring side of ping-pong with zeromq: a Request socket, as in its documentation.
import { Request } from 'zeromq'
import { format } from '../../lib/message.mjs'
import { readFlags, report } from '../../lib/program.mjs'
import { ROUND_TRIP_FLAGS, RoundTrips } from '../../lib/round_trips.mjs'

const { PAYLOAD_BYTES } = format

const flags = readFlags(ROUND_TRIP_FLAGS)
const roundTrips = new RoundTrips(flags)
const ping = Buffer.alloc(PAYLOAD_BYTES)
const socket = new Request()
socket.connect(`tcp://127.0.0.1:${flags.port}`)
roundTrips.start()
do {
  await socket.send(ping)
  await socket.receive()
} while (roundTrips.returned())
report(roundTrips.result)
socket.close()
