// Life and death: starts and stops, connects and disconnects, threads and processes that end at any moment. Nothing may be left behind.
//
//   node lab/reliability/life.mjs [--scale 1]      0.1 does a tenth of everything

import { parseArgs } from 'node:util'
import { inParallel, startChild, troubleOf } from './lib/processes.mjs'

const { values } = parseArgs({ options: { scale: { type: 'string', default: '1' } } })
const scaled = (count) => Math.max(4, Math.round(count * Number(values.scale)))
const GROWTH_MB_MAX = 24
// The C library gives each thread a heap of its own and keeps it, so that growth is not zerio's.
const env = { MALLOC_ARENA_MAX: '1' }
let failed = 0

function verdict(name, trouble, text) {
  if (trouble !== undefined) failed++
  console.log(`${trouble === undefined ? 'ok' : 'FAILED'}  ${name}: ${trouble ?? text}`)
}

/** A stage that counts what it holds before and after. */
async function stage(name, count) {
  const began = performance.now()
  const result = await startChild('life_child.mjs', [name, count], {
    flags: ['--expose-gc'],
    timeoutMs: 900_000,
    env
  }).ended
  let trouble = troubleOf(result)
  const { before, after, faults, ...figures } = result.report ?? {}
  if (trouble === undefined) {
    if (after.descriptors > before.descriptors)
      trouble = `${after.descriptors - before.descriptors} descriptors leaked`
    else if (after.handles > before.handles) trouble = `handles leaked: ${before.kinds} → ${after.kinds}`
    else if (after.rssMb - before.rssMb > GROWTH_MB_MAX)
      trouble = `memory grew from ${before.rssMb} to ${after.rssMb} MB`
  }
  const counts = ['descriptors', 'handles', 'rssMb'].map(
    (what) => `${what} ${before?.[what]} → ${after?.[what]}`
  )
  const seconds = Math.round((performance.now() - began) / 1000)
  verdict(
    name,
    trouble,
    `${Object.entries(figures)
      .map(([what, number]) => `${what} ${number}`)
      .join(', ')}; ${counts.join(', ')}; ${seconds} s`
  )
}

async function exits(count) {
  const seeds = Array.from({ length: count }, (_, index) => index + 1)
  let trouble
  await inParallel(seeds, 2, async (seed) => {
    const result = await startChild('life_child.mjs', ['exits', 1 + ((seed * 37) % 400), seed]).ended
    if (result.code === 33 && result.stderr === '') return
    trouble ??= `seed ${seed}: code ${result.code}, ${result.signal}, ${result.stderr}`
  })
  verdict('exits', trouble, `process.exit at ${count} moments, each with its code and nothing on stderr`)
}

await stage('cycles', scaled(1000))
await stage('connects', scaled(10_000))
await stage('workers', scaled(100))
await exits(scaled(60))
await stage('orphans', scaled(20))
process.exit(failed > 0 ? 1 : 0)
