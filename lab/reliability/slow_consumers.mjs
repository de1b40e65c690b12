// A thousand subscribers of a topic with the latest values, a hundred of which read nothing for long and then read again. Each of the others
// must see every update, and each slow one the newest value of each key once; memory stays flat, and V8 collects nothing.
//
//   node lab/reliability/slow_consumers.mjs [--minutes 10] [--backend epoll] [--perTurn 250]
//
// A second, short part has values of a kilobyte and small buffers, so that a slow one catches up in many steps; it reads when the server has
// ended its updates.

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compileNativePrograms } from '../../perf/lib/native_programs.mjs'
import { Program } from '../../perf/lib/processes.mjs'
import { NODE_FLAGS, runSlowConsumers, SAMPLE_MS } from '../../perf/lib/slow_consumers.mjs'
import { SCHEDULE_FLAGS, VALUE_BYTES } from '../../perf/lib/update_schedule.mjs'
import { root } from './lib/processes.mjs'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    backend: { type: 'string', default: 'auto' },
    perTurn: { type: 'string', default: String(SCHEDULE_FLAGS.perTurn) }
  }
})
const SLOW = 100
const KEY_BYTES = 4
const parts = {
  'reading while updates go on': {
    fits: true,
    readers: 900,
    ringBytes: 16_384,
    perTurn: Number(values.perTurn),
    measuredMs: Number(values.minutes) * 60_000,
    readMs: 2_000
  },
  'reading when they have ended': {
    fits: false,
    readers: 100,
    ringBytes: 8_192,
    socketSendBytes: 16_384,
    perTurn: 5,
    valueBytes: 1_000,
    measuredMs: 3_000,
    readMs: 0
  }
}
// Until the systems have filled their buffers with what the slow ones do not read.
const WARMUP_MS = 8_000
// A byte of garbage for each hundred deliveries, 90 KB a second, fills this before the end. What Node.js allocates for its timer and its
// loop, 60 to 80 KB a second, does not.
const NURSERY_MB = 16 * Math.ceil(Number(values.minutes) / 2.5)
const NURSERY = [`--min-semi-space-size=${NURSERY_MB}`, `--max-semi-space-size=${NURSERY_MB}`]
// Memory is flat when it never is above what it was in the first minute, or in the first half of a shorter run, by more than this.
const FIRST_MS = 60_000
const FLAT_PART = 0.01
const FLAT_MB = 2

function faultsOf(part, { jumped, again, collections, memoriesMb, memoryIsOver }) {
  if (memoryIsOver) return ['the server took too much memory']
  const first = Math.min(Math.floor(memoriesMb.length / 2), FIRST_MS / SAMPLE_MS)
  const before = Math.max(...memoriesMb.slice(0, first))
  const after = Math.max(...memoriesMb.slice(first))
  const faults = []
  if (jumped < SLOW) faults.push(`only ${jumped} of ${SLOW} slow peers got newest values`)
  // When there is room for all values, no key comes again before the others.
  if (again > 0 && part.fits) faults.push(`${again} values in place of newer ones`)
  if (collections > 0) faults.push(`${collections} collections`)
  if (after > before * (1 + FLAT_PART) + FLAT_MB)
    faults.push(`memory grew from ${before.toFixed(1)} to ${after.toFixed(1)} MB`)
  return faults
}

compileNativePrograms()
for (const [name, part] of Object.entries(parts)) {
  const { perTurn, ringBytes, socketSendBytes = 0, valueBytes = VALUE_BYTES } = part
  const flags = ['--perTurn', perTurn, '--ringBytes', ringBytes, '--valueBytes', valueBytes]
  flags.push('--socketSendBytes', socketSendBytes)
  const script = join(root, 'perf/zerio/updates_server.mjs')
  // The system commits memory where it is touched first, and a moment in which the machine is busy touches more rings: so all of it is, first.
  const args = [
    ...NODE_FLAGS,
    ...NURSERY,
    script,
    '--touchMb',
    3 * NURSERY_MB,
    '--backend',
    values.backend,
    ...flags
  ]
  const scenario = {
    ...part,
    slow: SLOW,
    framing: 'frames',
    updateBytes: KEY_BYTES + valueBytes,
    warmupMs: WARMUP_MS
  }
  try {
    const result = await runSlowConsumers(() => new Program(process.execPath, args), scenario)
    const { updates, conflated, updatesPerSecond, windowP99Us, memoryMb, collections } = result
    console.log(
      `${name}: ${updates} updates, ${updatesPerSecond.toFixed(0)} a second, to ${part.readers} that saw all of them, p99 of half a second ${(windowP99Us / 1000).toFixed(1)} ms; ${conflated} newer values in place of older ones for ${SLOW}; ${memoryMb.toFixed(1)} MB at most, ${collections} collections`
    )
    for (const fault of faultsOf(part, result)) fail(`${name}: ${fault}`)
  } catch (error) {
    fail(`${name}: ${error.message}`)
  }
}

function fail(sentence) {
  console.error(`FAILED ${sentence}`)
  process.exitCode = 1
}
