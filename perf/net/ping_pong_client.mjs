// The measuring side of node:net's ping-pong baseline.
import { connect } from 'node:net'
import { HEADER_BYTES, PAYLOAD_BYTES } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'
import { roundTripPercentiles } from '../lib/stats.mjs'

const { port, warmup, count } = readFlags({ port: 0, warmup: 2_000, count: 20_000 })
const total = warmup + count
const ping = Buffer.alloc(HEADER_BYTES + PAYLOAD_BYTES)
ping.writeInt32LE(PAYLOAD_BYTES)

const timesNs = new Float64Array(total + 1)
let received = 0
let receivedBytes = 0

const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => {
  timesNs[0] = performance.now() * 1e6
  socket.write(ping)
})
socket.on('data', (chunk) => {
  receivedBytes += chunk.length
  if (receivedBytes < ping.length) return
  receivedBytes = 0
  received++
  timesNs[received] = performance.now() * 1e6
  if (received < total) socket.write(ping)
  else socket.end()
})
socket.on('error', (error) => fail(error.message))
socket.on('close', () => {
  if (received < total) fail('the echo side closed')
  report(roundTripPercentiles(timesNs.subarray(warmup)))
})
