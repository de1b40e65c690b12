// Assertions of zerio/gc in each test runner: the examples of docs/gc.md pass, a planted allocation of 16 bytes makes each of them fail by
// name, and none fails without one in many runs.
//
// node lab/gc/runners.mjs [--runs N] [--only vitest]; N assertions that must not fail, by default 100. Vitest and Jest are installed into a temporary
// folder.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const examples = join(root, 'docs', 'examples', 'gc_assertions')
const { values } = parseArgs({
  options: { runs: { type: 'string', default: '100' }, only: { type: 'string' } }
})
const runs = Number(values.runs)
/** Vitest gives up on a process that does not answer for a minute. */
const runsOfProcess = 250

/** The runner's packages, the example and its name in a package, and how it is started. */
const runners = {
  ava: { example: 'ava.mjs', file: 'volume.test.mjs', bin: 'ava', args: ['--timeout=60m'] },
  'node:test': { example: 'node_test.mjs', file: 'volume.test.mjs', args: ['--test', 'volume.test.mjs'] },
  vitest: { example: 'vitest_example.mjs', file: 'volume.test.mjs', bin: 'vitest', args: ['run'] },
  jest: { example: 'jest_example.cjs', file: 'volume.test.cjs', bin: 'jest' }
}
/** Without garbage, and with a box of 16 bytes for each operation. */
const clean = 'volume = (volume + quantity) & 0xffffff'
const planted = 'volume = volume * 0.9 + quantity * 0.05'

const folder = mkdtempSync(join(tmpdir(), 'zerio-runners-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

function call(command, args, cwd) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, FORCE_COLOR: '0', CI: '1' }
  })
  return { status, output: `${stdout}${stderr}` }
}

function check(condition, what, output) {
  if (condition) return
  console.error(`${what}\n${output}`)
  process.exit(1)
}

mkdirSync(join(folder, 'node_modules'))
writeFileSync(
  join(folder, 'package.json'),
  JSON.stringify({ private: true, jest: { testMatch: ['**/*.test.cjs'] } })
)
const install = call('npm', ['install', '--no-audit', '--no-fund', 'ava@6', 'vitest@3', 'jest@29'], folder)
check(install.status === 0, 'npm cannot install the runners', install.output)
symlinkSync(root, join(folder, 'node_modules', 'zerio'))

for (const [name, { example, file, bin, args = [] }] of Object.entries(runners)) {
  if (values.only !== undefined && values.only !== name) continue
  const start = performance.now()
  const sources = { [file]: readFileSync(join(examples, example), 'utf8') }
  cpSync(join(examples, 'volume.mjs'), join(folder, 'volume.mjs'))
  const run = (source) => {
    for (const other of ['volume.test.mjs', 'volume.test.cjs']) rmSync(join(folder, other), { force: true })
    writeFileSync(join(folder, file), source)
    const command = bin === undefined ? args : [join(folder, 'node_modules', '.bin', bin), ...args]
    return call(process.execPath, command, folder)
  }
  const passing = run(sources[file])
  check(passing.status === 0, `${name}: the example fails`, passing.output)
  // The same assertion many times in one process.
  for (let left = runs; left > 0; left -= runsOfProcess) {
    const repeated = sources[file].replace(
      /^(.*)assertNoGarbage\((?!.*from)/m,
      (_, before) =>
        `for (let i = 0; i < ${Math.min(left, runsOfProcess)}; i++) ${before.trim()} assertNoGarbage(`
    )
    const often = run(longer(name, repeated))
    check(often.status === 0, `${name}: one of ${runs} assertions without garbage fails`, often.output)
  }
  writeFileSync(
    join(folder, 'volume.mjs'),
    readFileSync(join(examples, 'volume.mjs'), 'utf8').replace(clean, planted)
  )
  const failing = run(sources[file].replace(clean, planted))
  check(failing.status !== 0, `${name}: 16 bytes per operation are not found`, failing.output)
  check(
    /The function 'addQuantity' allocates 1[67][.\d]* B per operation/.test(failing.output),
    `${name}: the message does not name the function`,
    failing.output
  )
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(
    `${name}: the example passes, 16 bytes are found, ${runs} runs without garbage pass (${seconds} s)`
  )
}

/** Their own limits for a test would end the many runs. */
function longer(name, source) {
  const limitMs = 3_600_000
  if (name === 'ava') return source.replace('(t) => {', `(t) => {\n  t.timeout(${limitMs})`)
  if (name === 'jest') return `jest.setTimeout(${limitMs})\n${source}`
  return name === 'vitest' ? source.replace(/^\}\)$/m, `}, ${limitMs})`) : source
}
