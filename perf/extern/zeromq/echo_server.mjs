// The echo side of ping-pong with zeromq: a Reply socket, as in its documentation.
import { Reply } from 'zeromq'
import { readFlags, report } from '../../lib/program.mjs'
import { EchoMeter, ROUND_TRIP_FLAGS } from '../../lib/round_trips.mjs'

const flags = readFlags(ROUND_TRIP_FLAGS)
const meter = new EchoMeter(flags)
const socket = new Reply({ linger: 1000 })
await socket.bind('tcp://127.0.0.1:*')
report({ port: Number(socket.lastEndpoint.split(':').pop()) })
let left = flags.warmup + flags.count
for await (const [message] of socket) {
  await socket.send(message)
  meter.echoed()
  if (--left === 0) break
}
report(meter.result)
socket.close()
