// Messages leave at the end of the turn in which the program sent them, wherever that was, and at the end of the process.
// `npm run test:host` does the same with every Node, wait strategy and variant.

import test from 'ava'
import { endingsOf, runEnding, runSources, sourcesOf } from '../../lab/host/matrix.mjs'
import { alwaysThere } from '../helpers/backend.mjs'

const { native } = await import('../../dist/engine/native.js').then((module) => module.default)

for (const backend of native.backends.filter((one) => native.probeBackend(one) === 0)) {
  for (const strategy of ['blocking', 'hybrid', 'adaptive']) {
    const variant = strategy === 'blocking' ? 'heartbeats' : 'quiet'
    const combination = { node: process.execPath, backend, strategy, variant }

    test(`messages sent from anywhere leave at once: ${backend}, ${strategy}, ${variant}`, async (t) => {
      const results = await runSources(combination, { names: sourcesOf(combination), rounds: 1 })
      const late = [...results].filter(([, { ok }]) => !ok).map(([name]) => name)
      // A machine that stood still makes a message late once. A message that the loop driver forgets is late again, in at least one of three runs.
      const bad = []
      for (let run = 0; run < 3 && late.length > 0; run++) {
        for (const [name, { ok, text }] of await runSources(combination, { names: late, rounds: 1 }))
          if (!ok) bad.push(`${name}: ${results.get(name).text}, and again ${text}`)
      }
      t.deepEqual(bad, [])
      t.true(results.size > 60)
    })
  }

  test(`a process that ends hands accepted messages to the system: ${backend}`, async (t) => {
    const combination = { node: process.execPath, backend, strategy: 'blocking', variant: 'quiet' }
    const names = endingsOf(combination)
    const bad = []
    for (const name of names) {
      const { ok, text } = await runEnding(combination, name)
      if (!ok) bad.push(`${name}: ${text}`)
    }
    t.deepEqual(bad, [])
    t.true(names.length > 15)
  })
}

test('a message that lies is noticed', async (t) => {
  const combination = {
    node: process.execPath,
    backend: alwaysThere,
    strategy: 'blocking',
    variant: 'quiet'
  }
  const names = ['setTimeout, 0 ms', 'promise', 'fs callback']
  const results = await runSources(combination, { names, rounds: 1, liesMs: 200 })
  for (const name of names) {
    const { ok, text } = results.get(name)
    t.false(ok)
    t.regex(text, /^\d+ ms late/)
  }
})
