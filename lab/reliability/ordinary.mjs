// An ordinary program: timers, files, http and workers beside zerio, in one process, and peers of it in another one. Everything is
// numbered, and each side checks the other's numbers.
//
//   node lab/reliability/ordinary.mjs --minutes 0.5 [--strategies blocking,hybrid,spin] [--backends epoll,io_uring]

import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'
import { startChild, troubleOf } from './lib/processes.mjs'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '0.5' },
    strategies: { type: 'string', default: 'blocking,hybrid,spin' },
    backends: { type: 'string', default: 'epoll,io_uring' }
  }
})
const { native } = createRequire(import.meta.url)('../../dist/engine/native.js')
const usable = values.backends
  .split(',')
  .filter((name) => native.backends.includes(name) && native.probeBackend(name) === 0)
const cells = usable.flatMap((backend) =>
  values.strategies.split(',').map((strategy) => ({ backend, strategy }))
)
const ms = Math.max(2_000, Math.round((Number(values.minutes) * 60_000) / cells.length))
let failed = 0
for (const { backend, strategy } of cells) {
  const program = startChild('ordinary_child.mjs', ['program', ms, strategy, backend], {
    flags: ['--expose-gc'],
    timeoutMs: ms + 120_000
  })
  const { port } = await program.line('port')
  const peers = startChild('ordinary_child.mjs', ['peers', ms, 'blocking', backend, port], {
    timeoutMs: ms + 120_000
  })
  const results = await Promise.all([program.ended, peers.ended])
  const trouble = results.map(troubleOf).filter((one) => one !== undefined)
  if (trouble.length > 0) failed++
  const { faults, ...figures } = results[0].report ?? {}
  const text = Object.entries(figures).map(([what, number]) => `${number} ${what}`)
  console.log(
    trouble.length === 0
      ? `ok  ${strategy}, ${backend}, ${ms / 1000} s: ${text.join(', ')}`
      : `FAILED  ${strategy}, ${backend}: ${trouble.join('; ')}`
  )
}
console.log(`${cells.length - failed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)
