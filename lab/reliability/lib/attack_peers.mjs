// The good peers: each sends a message at a steady pace and measures its way there and back.
// Arguments: port. Commands: `measure <n>` begins anew, `report <n>` prints percentiles in microseconds.

import { createInterface } from 'node:readline'
import { readClock, ZerioClient } from 'zerio'

const PEERS = 6
const PERIOD_MS = 2
const port = Number(process.argv[2])
const times = new Float64Array(2_000_000)
const now = new Float64Array(1)
const faults = []
let count = 0
let sent = 0

const clients = await Promise.all(
  Array.from({ length: PEERS }, async (_, index) => {
    const client = new ZerioClient({ host: '127.0.0.1', port })
    client.onMessage = (buffer, offset, length) => {
      readClock(now)
      if (length !== 64) faults.push(`${length} bytes`)
      if (count < times.length) times[count++] = now[0] - buffer.view.getFloat64(offset, true)
    }
    client.on('disconnected', (reason) => faults.push(`disconnected: ${reason}`))
    await client.start(`good ${index}`)
    return client
  })
)
let turn = 0
setInterval(() => {
  // One after the other, so that a message meets the server in all its states and not the other good peers.
  const client = clients[turn++ % PEERS]
  const at = client.claim(64)
  if (at < 0) return
  readClock(now)
  client.view.setFloat64(at, now[0], true)
  client.commit()
  client.flush()
  sent++
}, PERIOD_MS / PEERS)

console.log(JSON.stringify({ ready: true }))
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command, number] = line.split(' ')
    if (command === 'measure') count = sent = 0
    if (command !== 'report') return
    const sorted = times.slice(0, count).sort()
    const at = (share) => Math.round(sorted[Math.floor((count - 1) * share)] / 1000)
    const values = { p50: at(0.5), p99: at(0.99), max: at(1), count, sent }
    console.log(JSON.stringify({ [`report ${number}`]: true, ...values, faults }))
  })
  .on('close', () => process.exit(0))
