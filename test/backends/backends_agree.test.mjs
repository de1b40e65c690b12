// The seeded program, run through each backend of this system.

import { createRequire } from 'node:module'
import test from 'ava'
import { runProgram } from '../helpers/seeded_program.mjs'

const { native } = createRequire(import.meta.url)('../../dist/engine/native.js')
const backends = native.backends.filter((backend) => native.probeBackend(backend) === 0)
/** How many programs each wait strategy runs: take more than two after a change to a backend. */
const SEEDS = Number(process.env.ZERIO_AGREE_SEEDS ?? 2)

test('there is more than one backend to compare', (t) => {
  t.log(backends.join(', '))
  t.true(backends.length > 0)
})

for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'adaptive', 'manual']) {
  for (let seed = 1; seed <= SEEDS; seed++) {
    test.serial(`${backends.join(' and ')} agree: ${waitStrategy}, seed ${seed}`, async (t) => {
      const seen = []
      for (const backend of backends)
        seen.push(await runProgram((end) => t.teardown(end), backend, waitStrategy, seed))
      for (const other of seen.slice(1)) t.deepEqual(other, seen[0])
      t.true(seen[0].atServer.length > 5)
    })
  }
}
