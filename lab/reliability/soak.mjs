// Runs for long: churn, slow peers, numbered and checksummed messages of all sizes in both directions. Memory stays flat, nothing is lost.
//
//   node lab/reliability/soak.mjs --hours 8 | --minutes 10 [--seed 1]

import { parseArgs } from 'node:util'
import { startChild, troubleOf } from './lib/processes.mjs'

const { values } = parseArgs({
  options: {
    hours: { type: 'string', default: '0' },
    minutes: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' }
  }
})
const minutes = Number(values.hours) * 60 + Number(values.minutes) || 2
console.log(`soak: ${minutes} minutes, seed ${values.seed}`)
const timeoutMs = minutes * 60_000 + 120_000
const run = startChild('soak_child.mjs', [minutes * 60_000, values.seed], {
  flags: ['--expose-gc'],
  timeoutMs
})
run.child.stdout.on('data', (text) => process.stdout.write(text))
const result = await run.ended
const trouble = troubleOf(result)
console.log(trouble === undefined ? 'soak: ok' : `soak: FAILED: ${trouble}`)
process.exit(trouble === undefined ? 0 : 1)
