// Runs the test suite inside Windows' node.exe under Wine: npm run test:windows [-- --node 20,22 --mode winsock,rio --programs test/x.test.mjs]
//
// Once as Wine is, without Registered I/O, and once with the emulator (test/windows/rio_emulator.cc) under the same addon, where
// any misuse of the API, and any object that is left at the end, fails the run.
//
// Nothing is installed here; what is missing is named. Output goes to files in build/windows/results, because Wine's processes
// lose what they write to the pipes of a Linux process.
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const build = join(root, 'build', 'windows')
const FILE_TIMEOUT_MS = 240_000
const PROGRAM_TIMEOUT_MS = 60_000
const RESET_ROUNDS = 20

/** What cannot run there: a whole file, or tests of it by title. */
const skipped = [
  ...['cli_bench', 'cli_gc', 'gc_accuracy', 'gc_docs', 'gc_package', 'gc_probe'].map((file) => ({
    file,
    title: '*',
    reason: 'the command line and the probe are made for Linux so far'
  })),
  { file: 'simulation', title: '*', reason: 'has no system under it' },
  { file: 'io_uring_pressure', title: '*', reason: 'is about io_uring' },
  { file: 'backend_choice', title: '*', reason: 'names the backends of Linux' },
  { file: 'demo', title: 'Ctrl-C ends a run with its summary', reason: 'sends a Unix signal' },
  {
    file: 'demo',
    title: 'a process that dies is one line on stderr and the end of all',
    reason: 'reads /proc'
  },
  { file: 'demo', title: 'no process outlives the first one', reason: 'reads /proc' },
  { file: 'differential', title: 'the Python client*', reason: 'no Python in Wine' },
  { file: 'machine_faults', title: 'EMFILE while*', reason: 'needs ulimit' },
  { file: 'machine_faults', title: 'no address space*', reason: 'needs ulimit' },
  {
    file: 'closing',
    title: 'a peer that never reads is cut off when lingerMs is over',
    mode: 'rio',
    reason: 'cannot see when a socket is full, because sends complete later'
  },
  { file: 'addresses', title: 'reusePort*', reason: 'Windows cannot share a port' },
  { file: 'workers', title: 'workers share a port with reusePort', reason: 'Windows cannot share a port' },
  {
    file: 'options',
    title: 'a backend that this build does not have*',
    reason: 'names the backends of Linux'
  },
  { file: 'options', title: 'the engine says what it is', reason: 'names the backends of Linux' },
  {
    file: 'zero_garbage',
    title: '*',
    reason: 'reads --trace-gc from a pipe, which Windows fills only when it is full'
  }
]

const { values, positionals } = parseArgs({
  options: {
    node: { type: 'string', default: '20,22' },
    mode: { type: 'string', default: 'winsock,rio' },
    programs: { type: 'boolean', default: false }
  },
  allowPositionals: true
})

function fail(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exit(1)
}

const wine = ['/usr/lib/wine/wine64', '/usr/bin/wine64'].find(existsSync)
if (wine === undefined) fail('Wine is missing; on Debian: apt-get install wine64')
const nodes = values.node
  .split(',')
  .map((major) => ({ major, program: join(build, 'node', major, 'node.exe') }))
for (const { program } of nodes) {
  if (!existsSync(program)) fail(`${program} is missing: run node scripts/windows_node.mjs`)
}
if (!existsSync(join(build, 'zerio.node'))) fail('The addon is missing: run npm run build:windows')

const emulate = join(root, 'test', 'windows', 'emulate_rio.cjs')
const preload = {
  NODE_OPTIONS: `--require "Z:${emulate}"`,
  ZERIO_TEST_NODE_OPTIONS: `--require "Z:${emulate}"`
}
const environment = {
  ...process.env,
  CI: 'true',
  NODE_OPTIONS: '',
  WINEPREFIX: process.env.WINEPREFIX ?? join(build, 'prefix'),
  WINEDEBUG: '-all'
}

/** Runs a Windows program with its output in a file. Resolves with its exit code, or -1 when it took too long. */
function runWine(args, log, timeoutMs, more = {}) {
  const output = openSync(log, 'w')
  const child = spawn(wine, args, {
    cwd: root,
    env: { ...environment, ...more },
    stdio: ['ignore', output, output]
  })
  closeSync(output)
  const guard = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(guard)
      resolve(code ?? -1)
    })
  })
}

async function makePrefix() {
  if (existsSync(join(environment.WINEPREFIX, 'system.reg'))) return
  mkdirSync(environment.WINEPREFIX, { recursive: true })
  const log = join(build, 'prefix.log')
  // Node.js refuses the Windows 7 that Wine is by itself.
  for (const args of [
    ['wineboot', '-i'],
    ['winecfg', '-v', 'win10']
  ]) {
    if ((await runWine(args, log, 120_000)) !== 0) fail(`Wine cannot make its prefix: see ${log}`)
  }
}

const count = (text, what) =>
  [...text.matchAll(new RegExp(`^  (\\d+) (?:tests?|uncaught exceptions?) ${what}`, 'gm'))].reduce(
    (sum, [, number]) => sum + Number(number),
    0
  )

function readFileSafely(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** What the emulator wrote: violations, and how many processes ended and how much they used it. */
function readReport(path) {
  const lines = readFileSafely(path).trimEnd().split('\n')
  const ends = lines.flatMap(
    (line) => line.match(/ end: requests (\d+), violations \d+, live \d+/)?.[1] ?? []
  )
  return {
    violations: lines.filter((line) => line.includes('violation: ')),
    processes: ends.length,
    requests: ends.reduce((sum, one) => sum + Number(one), 0)
  }
}

async function runFile(node, mode, file) {
  const name = file.replace(/^.*\//, '').replace('.test.mjs', '')
  const folder = join(build, 'results', `${node.major}-${mode}`)
  mkdirSync(folder, { recursive: true })
  const log = join(folder, `${name}.txt`)
  const without = skipped.filter((one) => one.file === name && (one.mode ?? mode) === mode)
  if (without.some(({ title }) => title === '*')) {
    console.log(`- ${name}: not run, ${without[0].reason}`)
    return { passed: 0, failed: 0, requests: 0 }
  }
  const matches = without.flatMap(({ title }) => ['--match', `!${title}`])
  const report = join(folder, `${name}.rio.txt`)
  rmSync(report, { force: true })
  const emulated = { ZERIO_RIO_REPORT: `Z:${report}`, ...preload }
  const code = await runWine(
    [node.program, 'node_modules/ava/entrypoints/cli.mjs', '--timeout=60s', ...matches, file],
    log,
    FILE_TIMEOUT_MS,
    mode === 'rio' ? emulated : {}
  )
  const text = readFileSync(log, 'utf8')
  const passed = count(text, 'passed')
  const { violations, processes, requests } = readReport(report)
  const failed = Math.max(count(text, 'failed'), code === 0 ? 0 : 1) + violations.length
  const verdict = `${failed > 0 ? 'FAILED' : 'ok'} node ${node.major}, ${mode}, ${name}: ${passed} passed, ${failed} failed`
  const emulator = `; ${requests} requests of ${processes} processes, ${violations.length} violations`
  for (const { title, reason } of without) console.log(`- ${name}: ${title}: not run, ${reason}`)
  console.log(mode === 'rio' ? verdict + emulator : verdict)
  for (const violation of violations) console.log(violation)
  if (failed > 0) process.stdout.write(`${text.trimEnd()}\n`)
  return { passed, failed, requests }
}

function judge(node, mode, name, good, log, report) {
  const { violations, processes, requests } = readReport(report)
  const left = readFileSafely(report).match(/ live [1-9]\d*/g) ?? []
  const failed = (good ? 0 : 1) + violations.length + left.length
  const verdict = `${failed > 0 ? 'FAILED' : 'ok'} node ${node.major}, ${mode}, ${name}`
  const emulator = `; ${requests} requests of ${processes} processes, ${violations.length} violations, ${left.length === 0 ? 'no' : 'a'} live object`
  console.log(mode === 'rio' ? verdict + emulator : verdict)
  if (failed > 0) process.stdout.write(`${violations.join('\n')}\n${readFileSafely(log)}\n`)
  return { passed: failed > 0 ? 0 : 1, failed, requests }
}

/** Programs that are no tests of the suite: 300 connections with resets, and conversations between Linux and Windows. */
async function runPrograms(node, mode) {
  const folder = join(build, 'results', `${node.major}-${mode}`)
  mkdirSync(folder, { recursive: true })
  const more = (report) => (mode === 'rio' ? { ZERIO_RIO_REPORT: `Z:${report}`, ...preload } : {})
  const results = []

  const log = join(folder, 'resets.txt')
  const report = join(folder, 'resets.rio.txt')
  rmSync(report, { force: true })
  const code = await runWine(
    [node.program, 'test/windows/resets.mjs', String(RESET_ROUNDS)],
    log,
    FILE_TIMEOUT_MS,
    more(report)
  )
  const rounds = readFileSync(log, 'utf8').match(/^round /gm)?.length ?? 0
  const name = `${RESET_ROUNDS} rounds of 300 connections, a third of them reset`
  results.push(judge(node, mode, name, code === 0 && rounds === RESET_ROUNDS, log, report))

  for (const windowsSide of ['server', 'client']) {
    const linuxSide = windowsSide === 'server' ? 'client' : 'server'
    const paths = ['txt', 'rio.txt', 'port', 'linux.txt'].map((end) =>
      join(folder, `crossing-${windowsSide}.${end}`)
    )
    const [output, reported, port, linuxOutput] = paths
    for (const path of paths) rmSync(path, { force: true })
    const script = 'test/windows/crossing.mjs'
    const file = openSync(linuxOutput, 'w')
    const linux = spawn(process.execPath, [script, linuxSide, port], {
      cwd: root,
      stdio: ['ignore', file, file]
    })
    closeSync(file)
    const guard = setTimeout(() => linux.kill('SIGKILL'), PROGRAM_TIMEOUT_MS)
    const ended = new Promise((resolve) => linux.once('close', resolve))
    const args = [node.program, script, windowsSide, `Z:${port}`]
    const windows = await runWine(args, output, PROGRAM_TIMEOUT_MS, more(reported))
    const good = windows === 0 && (await ended) === 0
    clearTimeout(guard)
    results.push(judge(node, mode, `Windows ${windowsSide}, Linux ${linuxSide}`, good, output, reported))
  }
  return results
}

await makePrefix()
const files =
  positionals.length > 0
    ? positionals
    : values.programs
      ? []
      : readdirSync(join(root, 'test'), { recursive: true })
          .filter((name) => name.endsWith('.test.mjs'))
          .sort()
          .map((name) => `test/${name}`)
const sum = { passed: 0, failed: 0, requests: 0 }
const add = (result) => {
  for (const key of Object.keys(sum)) sum[key] += result[key]
}
for (const node of nodes) {
  for (const mode of values.mode.split(',')) {
    for (const file of files) {
      const result = await runFile(node, mode, file)
      add(result)
    }
    if (positionals.length === 0) for (const result of await runPrograms(node, mode)) add(result)
  }
}
spawnSync('wineserver', ['-k'], { env: environment })
console.log(
  `${sum.passed} passed, ${sum.failed} failed, in Windows Node.js ${values.node} under Wine; ${sum.requests} emulated requests`
)
process.exitCode = sum.failed > 0 ? 1 : 0
