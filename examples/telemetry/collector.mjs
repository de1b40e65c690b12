// A collector of telemetry: many devices, each with a connection of its own, and sums for each metric, without garbage for a reading.
//
//     node examples/telemetry/collector.mjs [port]
import { ZerioServer } from 'zerio'
import { METRIC, metrics, READING_BYTES, SEQUENCE, VALUE } from './messages.mjs'

const REPORT_MS = 500

const server = new ZerioServer(
  { host: '127.0.0.1', port: Number(process.argv[2] ?? 48654) },
  // Devices vanish without a word. Each connection has a send ring, which this server hardly needs: small ones.
  { maxPeers: 50_000, idleTimeoutMs: 30_000, maxMessageLength: 1_024, sendRingBytes: 4_096 }
)

/** Count, sum, least and greatest value of each metric since the last report. */
const FIELDS = 4
const sums = new Float64Array(metrics.length * FIELDS)
let readings = 0
let dropped = 0

function clearSums() {
  for (let metric = 0; metric < metrics.length; metric++)
    sums.set([0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], metric * FIELDS)
}

/** By device: the number of its next reading. It goes on when the device connects again. */
const nextNumbers = new Map()

server.on('clientConnected', (deviceId, peer) => {
  if (!nextNumbers.has(deviceId)) nextNumbers.set(deviceId, new Uint32Array(1))
  peer.userData = nextNumbers.get(deviceId)
})
server.onMessage = (peer, buffer, offset, length) => {
  const { view } = buffer
  const metric = length === READING_BYTES ? view.getUint32(offset + METRIC, true) : metrics.length
  if (metric >= metrics.length) {
    peer.close(4000, 'no reading')
    return
  }
  const sequence = view.getUint32(offset + SEQUENCE, true)
  dropped += (sequence - peer.userData[0]) >>> 0
  peer.userData[0] = sequence + 1
  const at = metric * FIELDS
  sums[at]++
  sums[at + 1] += view.getFloat64(offset + VALUE, true)
  sums[at + 2] = Math.min(sums[at + 2], view.getFloat64(offset + VALUE, true))
  sums[at + 3] = Math.max(sums[at + 3], view.getFloat64(offset + VALUE, true))
  readings++
}

function report() {
  console.log(`${server.peerCount} devices, ${readings} readings, ${dropped} dropped`)
  for (let metric = 0; metric < metrics.length; metric++) {
    const [count, sum, least, greatest] = sums.subarray(metric * FIELDS, (metric + 1) * FIELDS)
    if (count > 0)
      console.log(
        `  ${metrics[metric]}: mean ${(sum / count).toFixed(2)}, ${least.toFixed(2)} to ${greatest.toFixed(2)}`
      )
  }
  clearSums()
}

clearSums()
await server.start('collector')
console.log(`listening on ${server.listeningPort}`)
const timer = setInterval(report, REPORT_MS)
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    clearInterval(timer)
    report()
    server.stop()
  })
}
