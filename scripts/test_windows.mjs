// Runs the test suite inside Windows' node.exe under Wine: npm run test:windows [-- --node 20,22] [-- test/x.test.mjs ...]
//
// Nothing is installed here; what is missing is named. Output goes to files in build/windows/results, because Wine's processes
// lose what they write to the pipes of a Linux process.
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const build = join(root, 'build', 'windows')
const FILE_TIMEOUT_MS = 240_000

/** What cannot run there: a whole file, or tests of it by title. */
const skipped = [
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
  { file: 'addresses', title: 'reusePort*', reason: 'Windows cannot share a port' },
  { file: 'workers', title: 'workers share a port with reusePort', reason: 'Windows cannot share a port' },
  {
    file: 'options',
    title: 'a backend that this build does not have*',
    reason: 'names the backends of Linux'
  },
  { file: 'options', title: 'the engine says what it is', reason: 'names the backends of Linux' },
  { file: 'zero_garbage', title: '*blocking, part', reason: 'each batch returns to libuv there' },
  { file: 'zero_garbage', title: '*spin, claim', reason: 'each batch returns to libuv there' },
  { file: 'zero_garbage', title: '*hybrid, whole', reason: 'each batch returns to libuv there' }
]

const { values, positionals } = parseArgs({
  options: { node: { type: 'string', default: '20,22' } },
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

const environment = {
  ...process.env,
  CI: 'true',
  NODE_OPTIONS: '',
  WINEPREFIX: join(build, 'prefix'),
  WINEDEBUG: '-all'
}

/** Runs a Windows program with its output in a file. Resolves with its exit code, or -1 when it took too long. */
function runWine(args, log, timeoutMs) {
  const output = openSync(log, 'w')
  const child = spawn(wine, args, { cwd: root, env: environment, stdio: ['ignore', output, output] })
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

async function runFile(node, file) {
  const name = file.replace(/^.*\//, '').replace('.test.mjs', '')
  const folder = join(build, 'results', node.major)
  mkdirSync(folder, { recursive: true })
  const log = join(folder, `${name}.txt`)
  const without = skipped.filter((one) => one.file === name)
  const matches = without.flatMap(({ title }) => ['--match', `!${title}`])
  const code = await runWine(
    [node.program, 'node_modules/ava/entrypoints/cli.mjs', '--timeout=60s', ...matches, file],
    log,
    FILE_TIMEOUT_MS
  )
  const text = readFileSync(log, 'utf8')
  const passed = count(text, 'passed')
  const failed = Math.max(count(text, 'failed'), code === 0 ? 0 : 1)
  for (const { title, reason } of without) console.log(`- ${name}: ${title}: not run, ${reason}`)
  console.log(
    `${failed > 0 ? 'FAILED' : 'ok'} node ${node.major}, ${name}: ${passed} passed, ${failed} failed`
  )
  if (failed > 0) process.stdout.write(`${text.trimEnd()}\n`)
  return { passed, failed }
}

await makePrefix()
const files =
  positionals.length > 0
    ? positionals
    : readdirSync(join(root, 'test'), { recursive: true })
        .filter((name) => name.endsWith('.test.mjs'))
        .sort()
        .map((name) => `test/${name}`)
const sum = { passed: 0, failed: 0 }
for (const node of nodes) {
  for (const file of files) {
    const { passed, failed } = await runFile(node, file)
    sum.passed += passed
    sum.failed += failed
  }
}
spawnSync('wineserver', ['-k'], { env: environment })
console.log(`${sum.passed} passed, ${sum.failed} failed, in Windows Node.js ${values.node} under Wine`)
process.exitCode = sum.failed > 0 ? 1 : 0
