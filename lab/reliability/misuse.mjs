// Programs overwrite the memory that they share with the engine, one process for each seed. They may lose connections, but never the
// process, and no handler may be pointed outside of the pools.
//
//   node lab/reliability/misuse.mjs [--first 0] [--seeds 40] [--seconds 1.5] [--asan]

import { parseArgs } from 'node:util'
import { addonEnvironment, buildSanitized, sanitizerEnvironment } from './lib/addon.mjs'
import { inParallel, startChild, troubleOf } from './lib/processes.mjs'

const { values } = parseArgs({
  options: {
    first: { type: 'string', default: '0' },
    seeds: { type: 'string', default: '40' },
    seconds: { type: 'string', default: '1.5' },
    asan: { type: 'boolean', default: false }
  }
})
const first = Number(values.first)
const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => first + index)
const ms = Number(values.seconds) * 1000
const total = { writes: 0, messages: 0, connections: 0 }
let lagMs = 0
let failed = 0
const tools = values.asan
  ? { env: { ...sanitizerEnvironment(), ...addonEnvironment(await buildSanitized()) } }
  : {}

await inParallel(seeds, 2, async (seed) => {
  const result = await startChild('misuse_child.mjs', [seed, ms], { timeoutMs: ms + 60_000, ...tools }).ended
  const trouble = troubleOf(result)
  if (trouble !== undefined) {
    failed++
    console.log(
      `seed ${seed}: ${trouble}\n  again: node lab/reliability/misuse.mjs --first ${seed} --seeds 1${values.asan ? ' --asan' : ''}`
    )
    return
  }
  for (const name of Object.keys(total)) total[name] += result.report[name]
  lagMs = Math.max(lagMs, result.report.lagMs)
})
console.log(
  `misuse: ${seeds.length} seeds, ${total.writes} words overwritten, ${total.messages} messages, ${total.connections} connections, ` +
    `longest pause of a loop ${lagMs} ms, ${failed} failed`
)
process.exit(failed > 0 ? 1 : 0)
