// Runs on Windows itself what needs neither Wine nor the emulator, in one command:
//
//   npm run test:windows-native [-- --quick]
//
// For a person with Windows 10, Server 2019 or later, Node.js 20.19 or later, and a checkout in which `npm install` was run. The addon is
// prebuilds/win32-x64/zerio.node: `npm run build` makes it there with Visual Studio's compiler, `npm run build:windows` on Linux with
// mingw-w64. docs/windows.md says what the output must be. `--quick` leaves out the suite.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { exclusionsOf } from '../lab/windows/exclusions.mjs'
import { names } from './windows_sides.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const BACKENDS = ['rio', 'winsock']
const TIMEOUT_MS = 300_000
const CROWD = '10000'
/** Programs of lab/windows that judge themselves, in one process. */
const PROGRAMS = [
  ['resets', '20'],
  ['teardown', '3'],
  ['restart', '1'],
  ['connects', '1'],
  ['closing', '1'],
  ['one_way', '1']
]
/** Programs of two processes, each with a side, a file by which they find each other, and what else they get. */
const PAIRS = [
  ['crossing', 'server', 'client'],
  ['exit_after_send', 'writer', 'reader'],
  ['crowd', 'server', 'clients', CROWD]
]

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const count = { passed: 0, failed: 0 }

function judge(good, name, text) {
  count[good ? 'passed' : 'failed']++
  console.log(`${good ? 'ok' : 'FAILED'} ${name}`)
  if (!good) console.log(text.trimEnd().replaceAll(/^/gm, '    '))
}

/** `auto` must choose Registered I/O on Windows; the other backend is asked for by name. */
const environment = (backend) => ({
  ...process.env,
  ZERIO_BACKEND: backend === 'rio' ? 'auto' : backend,
  ZERIO_TEST_BACKEND: backend
})

function run(backend, args) {
  const options = { cwd: root, env: environment(backend), encoding: 'utf8', timeout: TIMEOUT_MS }
  const { status, stdout, stderr } = spawnSync(process.execPath, args, options)
  return { status, text: `${stdout}${stderr}` }
}

function runProgram(backend, [script, ...args]) {
  const { status, text } = run(backend, [`lab/windows/${script}.mjs`, ...args])
  judge(status === 0 && names(text, backend), `${backend}: ${script}`, text)
}

/** Resolves with the exit code and the output. */
function start(backend, args) {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: environment(backend),
    timeout: TIMEOUT_MS,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (data) => {
    text += data
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, text })))
}

async function runPair(backend, [script, first, second, ...more]) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-pair-'))
  const sides = [first, second].map((side) =>
    start(backend, [`lab/windows/${script}.mjs`, side, join(folder, 'port'), ...more])
  )
  const ran = await Promise.all(sides)
  rmSync(folder, { recursive: true })
  const text = ran.map((side) => side.text).join('')
  judge(ran.every(({ code }) => code === 0) && names(text, backend), `${backend}: ${script}`, text)
}

function runFile(backend, file) {
  const name = basename(file, '.test.mjs')
  const without = exclusionsOf(name, backend).filter(({ wine }) => wine !== true)
  if (without.some(({ title }) => title === '*')) return
  const matches = without.flatMap(({ title }) => ['--match', `!${title}`])
  const { status, text } = run(backend, [
    'node_modules/ava/entrypoints/cli.mjs',
    '--timeout=60s',
    ...matches,
    file
  ])
  judge(status === 0, `${backend}: ${name}`, text)
}

if (process.platform !== 'win32' || !existsSync(join(root, 'prebuilds', 'win32-x64', 'zerio.node'))) {
  console.error(
    'This is for Windows, with the addon in prebuilds/win32-x64: see the head of scripts/test_windows_native.mjs.'
  )
  process.exit(1)
}
console.log(`Windows ${release()}, Node.js ${process.version}`)
const files = values.quick
  ? []
  : readdirSync(join(root, 'test'), { recursive: true })
      .filter((name) => name.endsWith('.test.mjs'))
      .sort()
for (const backend of BACKENDS) {
  for (const program of PROGRAMS) runProgram(backend, program)
  for (const pair of PAIRS) await runPair(backend, pair)
  for (const file of files) runFile(backend, join('test', file))
  // For people to read; nothing is judged by it.
  console.log(run(backend, ['dist/cli/main.js', 'bench', '--seconds', '2']).text)
}
console.log(`${count.passed} passed, ${count.failed} failed`)
process.exitCode = count.failed > 0 ? 1 : 0
