// The measuring side of ping-pong with Bun's TCP.
import { format } from '../../lib/message.mjs'
import { fail, readFlags, report } from '../../lib/program.mjs'
import { roundTripPercentiles } from '../../lib/stats.mjs'

const { HEADER_BYTES, PAYLOAD_BYTES } = format

const flags = readFlags({ port: 0, warmup: 2_000, count: 20_000 })
const total = flags.warmup + flags.count
const timesNs = new Float64Array(total + 1)
const ping = Buffer.alloc(HEADER_BYTES + PAYLOAD_BYTES)
ping.writeInt32LE(PAYLOAD_BYTES)
let received = 0
let receivedBytes = 0

Bun.connect({
  hostname: '127.0.0.1',
  port: flags.port,
  socket: {
    open(socket) {
      socket.setNoDelay(true)
      timesNs[0] = Bun.nanoseconds()
      socket.write(ping)
    },
    data(socket, bytes) {
      receivedBytes += bytes.length
      if (receivedBytes < ping.length) return
      receivedBytes = 0
      received++
      timesNs[received] = Bun.nanoseconds()
      if (received < total) socket.write(ping)
      else socket.end()
    },
    error: (_socket, error) => fail(error.message),
    close() {
      if (received < total) fail('the echo side closed')
      report(roundTripPercentiles(timesNs.subarray(flags.warmup)))
      process.exit()
    }
  }
})
