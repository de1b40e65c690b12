// Round trips on a schedule: a burst of messages every so many microseconds, measured from the time at which the burst was
// due, so that a stall counts against every message that it delays. This side polls by hand, for a sender that sleeps
// could not keep the schedule; the echo side waits with the strategy of its flags. Recording makes no garbage: times go into an array
// made before. Runs all cells over one connection and writes the latencies of each (float64 nanoseconds) into a file.
import { writeFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { readClock, ZerioClient } from 'zerio'
import { parseCells } from '../lib/cells.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'

const WARMUP_PART = 0.1
const WARMUP_MESSAGES = 20_000
const DEADLINE_NS = 60e9

const flags = readFlags({ port: 0, backend: 'auto', cells: '32:20:1:1000', folder: '' })
const cells = parseCells(flags.cells)
const timesNs = new Float64Array(
  Math.max(WARMUP_MESSAGES, ...cells.map(({ bursts, burst }) => bursts * burst))
)
const clock = new Float64Array(4)
const NOW = 0
const DUE = 1
const BEGAN = 2
let received = 0

const client = new ZerioClient(
  { host: '127.0.0.1', port: flags.port },
  { waitStrategy: 'manual', backend: flags.backend }
)
client.onMessage = () => {
  readClock(timesNs, received)
  received++
}
client.on('disconnected', () => fail(`paced: disconnected after ${received} messages`))

function run(message, intervalNs, burst, total) {
  received = 0
  let sent = 0
  readClock(clock, BEGAN)
  clock[DUE] = clock[BEGAN]
  while (received < total) {
    readClock(clock, NOW)
    // A burst that is overdue goes out once the one before is back, and counts from when it was due.
    if (sent < total && received === sent && clock[NOW] >= clock[DUE]) {
      for (let i = 0; i < burst; i++) {
        if (client.send(message) !== 0) fail('paced: a message was refused')
      }
      client.flush()
      sent += burst
      clock[DUE] += intervalNs
    }
    client.poll()
    if (clock[NOW] - clock[BEGAN] > DEADLINE_NS) fail('paced: the answers do not come in time')
  }
  readClock(clock, NOW)
  return (clock[NOW] - clock[BEGAN]) / 1e9
}

function latencies({ intervalUs, burst, bursts }) {
  const skipped = Math.floor(bursts * WARMUP_PART) * burst
  const result = new Float64Array(bursts * burst - skipped)
  for (let i = skipped; i < bursts * burst; i++) {
    result[i - skipped] = timesNs[i] - clock[BEGAN] - Math.floor(i / burst) * intervalUs * 1000
  }
  return result
}

await client.start('paced')
const warmup = Buffer.alloc(64)
run(warmup, 20_000, 1, WARMUP_MESSAGES)
for (const cell of cells) {
  const message = Buffer.alloc(cell.bytes)
  await setImmediate()
  const seconds = run(message, cell.intervalUs * 1000, cell.burst, cell.bursts * cell.burst)
  const file = `${flags.folder}/${cell.name.replaceAll(':', '-')}.f64`
  writeFileSync(file, latencies(cell))
  report({ cell: cell.name, bursts: cell.bursts, seconds, file })
}
client.removeAllListeners('disconnected')
await client.stop()
process.exit()
