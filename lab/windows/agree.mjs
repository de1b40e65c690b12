// Runs the seeded program with each backend that this system has and prints what it saw as digests, one line for each run:
// node lab/windows/agree.mjs. The lines of two systems must be the same but for the backend, which stands last.
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { runProgram } from '../../test/helpers/seeded_program.mjs'

const { native } = createRequire(import.meta.url)('../../dist/engine/native.js')
for (const backend of native.backends.filter((name) => native.probeBackend(name) === 0)) {
  for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'manual']) {
    for (const seed of [1, 2, 3]) {
      const ends = []
      const seen = await runProgram((end) => ends.push(end), backend, waitStrategy, seed)
      for (const end of ends) await end()
      const digest = createHash('sha256').update(JSON.stringify(seen)).digest('hex').slice(0, 16)
      console.log(`${waitStrategy}, seed ${seed}: ${seen.counters.join(' ')}, ${digest} ${backend}`)
    }
  }
}
