// `npm run test:host`: the engine in Node's event loop, as programs use it.
//
//   matrix     where a send comes from × wait strategy × backend × Node, each with an independent reader (lab/host/matrix.mjs)
//   tests      test/host/host_*.test.mjs on each Node: what Node measures, async contexts, exceptions, ref() and unref(), many engines
//   runners    Jest, Vitest and others load the package anew for each of a hundred files (lab/host/runners.mjs)
//   ordinary   timers, files, http and workers beside zerio, with numbered messages (lab/reliability/ordinary.mjs)
//
// The last line counts; the exit code is 1 when something failed.

import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { endings } from '../lab/host/endings.mjs'
import { endingsOf, runEnding, runSources, sourcesOf, variantsOf } from '../lab/host/matrix.mjs'
import { MAJORS, nodeOf, parsePrograms } from '../lab/host/nodes.mjs'
import { sources } from '../lab/host/sources.mjs'

const STAGES = ['matrix', 'tests', 'runners', 'ordinary']
/** How many more engines the running Node makes than in `npm test`. */
const SCALE = 8
const STRATEGIES = ['blocking', 'hybrid', 'spin', 'manual']
const BACKENDS = ['epoll', 'io_uring']
const VARIANTS = variantsOf('blocking')

const HELP = `Usage: npm run test:host -- [flags]

  --only <stage,...>       of ${STAGES.join(', ')}
  --node <number,...>      of ${MAJORS.join(', ')}; 'this' is the running one
  --backend <name,...>     of ${BACKENDS.join(', ')}
  --strategy <name,...>    of ${STRATEGIES.join(', ')}
  --variant <name,...>     of ${VARIANTS.join(', ')}
  --source <text>          only sources and endings whose name contains the text
  --rounds <n>             how often each source sends (default 2)
  --width <n>              how many processes at a time (default: two for each processor)
  --minutes <n>            how long the ordinary program runs (default 0.5)
  --nodes <22=path,...>    Node programs that need not be installed, also $ZERIO_HOST_NODES
  --help
`

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: STAGES.join(',') },
    node: { type: 'string', default: MAJORS.join(',') },
    backend: { type: 'string', default: BACKENDS.join(',') },
    strategy: { type: 'string', default: STRATEGIES.join(',') },
    variant: { type: 'string', default: VARIANTS.join(',') },
    source: { type: 'string', default: '' },
    rounds: { type: 'string', default: '2' },
    width: { type: 'string', default: String(2 * availableParallelism()) },
    minutes: { type: 'string', default: '0.5' },
    nodes: { type: 'string', default: process.env.ZERIO_HOST_NODES ?? '' },
    help: { type: 'boolean', default: false }
  }
})

const totals = { passed: 0, failed: 0 }
const root = fileURLToPath(new URL('..', import.meta.url))

if (values.help) process.stdout.write(HELP)
else {
  const stages = values.only.split(',')
  if (stages.includes('matrix')) await runMatrix()
  if (stages.includes('tests')) await runTests()
  for (const stage of stages.filter((one) => one !== 'matrix' && one !== 'tests')) await runStage(stage)
  // Continuous integration counts lines of TAP.
  console.log(`# pass ${totals.passed}\n# fail ${totals.failed}`)
  console.log(`${totals.passed} passed, ${totals.failed} failed`)
  process.exitCode = totals.failed > 0 ? 1 : 0
}

function usableBackends() {
  const { native } = createRequire(import.meta.url)('../dist/engine/native.js')
  return values.backend.split(',').filter((backend) => {
    const usable = native.backends.includes(backend) && native.probeBackend(backend) === 0
    if (!usable) console.log(`${backend}: not tested, because this system refuses it`)
    return usable
  })
}

function nodes() {
  const given = parsePrograms(values.nodes)
  return values.node
    .split(',')
    .map((text) => (text === 'this' ? Number.parseInt(process.versions.node, 10) : Number(text)))
    .map((major) => ({ major, node: nodeOf(major, given) }))
}

function combinations() {
  const all = []
  const variants = values.variant.split(',')
  for (const { major, node } of nodes()) {
    for (const backend of usableBackends()) {
      for (const strategy of values.strategy.split(',')) {
        for (const variant of variantsOf(strategy).filter((one) => variants.includes(one)))
          all.push({ major, node, backend, strategy, variant })
      }
    }
  }
  return all
}

async function runMatrix() {
  const began = performance.now()
  const wanted = (name) => name.includes(values.source)
  const all = combinations()
  const rounds = Number(values.rounds)
  const works = []
  for (const combination of all) {
    combination.results = new Map()
    const names = sourcesOf(combination, wanted)
    works.push(async () => {
      for (const [name, result] of await runSources(combination, { names, rounds }))
        combination.results.set(name, result)
    })
    for (const name of endingsOf(combination, wanted))
      works.push(async () => combination.results.set(name, await runEnding(combination, name)))
  }
  await inParallel(works, Number(values.width))
  printMatrix(all)
  console.log(`matrix: ${all.length} combinations, ${((performance.now() - began) / 1000).toFixed(0)} s\n`)
}

async function inParallel(works, width) {
  let begun = 0
  const worker = async () => {
    while (begun < works.length) await works[begun++]()
  }
  // A log without lines for minutes looks like a run that hangs.
  const timer = setInterval(() => console.error(`matrix: ${begun} of ${works.length} processes`), 60_000)
  await Promise.all(Array.from({ length: width }, worker))
  clearInterval(timer)
}

/** A row for each place that a send comes from, a column for each combination: `.` in time, `F` failed, a blank: does not apply. */
function printMatrix(all) {
  const groups = groupBy(all, ({ major, backend }) => `${major} ${backend}`)
  const present = new Set(all.flatMap(({ results }) => [...results.keys()]))
  const order = [...Object.keys(sources), ...Object.keys(endings)]
  const names = [...present].sort((left, right) => order.indexOf(left) - order.indexOf(right))
  const columns = [...groups.entries()].map(([title, members]) => ({
    title,
    members,
    width: Math.max(title.length, members.length + new Set(members.map(({ strategy }) => strategy)).size - 1)
  }))
  const widest = Math.max(...names.map((name) => name.length))
  const [first] = columns
  console.log(`each group, from left to right: ${first.members.map(titleOf).join(', ')}\n`)
  const line = (name, cell) =>
    [name.padEnd(widest), ...columns.map((column) => cell(column).padEnd(column.width))].join('  ').trimEnd()
  console.log(line('', ({ title }) => title))
  for (const name of names) console.log(line(name, ({ members }) => cellsOf(name, members)))
  console.log()
  for (const combination of all) {
    for (const [name, { ok, text }] of combination.results) {
      totals[ok ? 'passed' : 'failed']++
      const { major, backend } = combination
      if (!ok) console.log(`FAILED  ${name}: Node ${major}, ${backend}, ${titleOf(combination)}: ${text}`)
    }
  }
}

function titleOf({ strategy, variant }) {
  return variant === 'quiet' ? strategy : `${strategy} ${variant}`
}

function groupBy(items, keyOf) {
  const groups = new Map()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}

function cellsOf(name, members) {
  let text = ''
  for (const [index, { strategy, results }] of members.entries()) {
    if (index > 0 && members[index - 1].strategy !== strategy) text += ' '
    const result = results.get(name)
    text += result === undefined ? ' ' : result.ok ? '.' : 'F'
  }
  return text
}

/** The tests of the host with each Node; what the matrix has done is not done again. */
async function runTests() {
  const files = ['loop', 'context', 'trouble', 'ref', 'engines'].map(
    (name) => `test/host/host_${name}.test.mjs`
  )
  const ava = fileURLToPath(new URL('../node_modules/ava/entrypoints/cli.mjs', import.meta.url))
  for (const { major, node } of nodes()) {
    console.log(`=== tests, Node ${major}`)
    const isThis = node === process.execPath
    const env = { ...process.env, ZERIO_HOST_SCALE: String(isThis ? SCALE : 1) }
    const flags = ['--timeout', '600s']
    const { code, text } = await runScript(node, [ava, ...flags, ...files], env)
    const count = (what) => Number(new RegExp(`(\\d+) tests? ${what}`).exec(text)?.[1] ?? 0)
    totals.passed += count('passed')
    totals.failed += count('failed') || Number(code !== 0)
  }
  console.log()
}

function runScript(node, args, env = process.env) {
  const child = spawn(node, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (more) => {
    text += more
    process.stdout.write(more)
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, text })))
}

/** A script that prints what it does, and `N passed, M failed` or just its exit code. */
async function runStage(stage) {
  const scripts = {
    runners: ['lab/host/runners.mjs'],
    ordinary: ['lab/reliability/ordinary.mjs', '--minutes', values.minutes]
  }
  const args = scripts[stage]
  if (args === undefined) throw new Error(`--only does not know '${stage}'`)
  console.log(`=== ${stage}`)
  const { code, text } = await runScript(process.execPath, args)
  const [, passed, failed] = /(\d+) passed, (\d+) failed\s*$/.exec(text) ?? [
    '',
    Number(code === 0),
    Number(code !== 0)
  ]
  totals.passed += Number(passed)
  totals.failed += Number(failed)
  if (code !== 0 && Number(failed) === 0) totals.failed++
}
