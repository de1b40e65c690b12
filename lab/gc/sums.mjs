// Programs of several threads and processes under `zerio gc`: the sum of the parts beside V8's own trace of all of them.
//
// A preloaded file switches --trace-gc on when the command begins to measure a thread, and writes down the size of its heap then and at
// its end. What was allocated is the sum of what the heaps grew by between two collections, in the trace as well.
//
// node lab/gc/sums.mjs [--node 22] [--only NAME]; tsx and Vitest are installed into a temporary folder. The exit code is 1 when bytes
// differ by more than 5 %, or when collections differ in a complete report.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { nodeOf } from '../host/nodes.mjs'

const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const { values } = parseArgs({
  options: { node: { type: 'string' }, only: { type: 'string' } }
})
const node = values.node === undefined ? process.execPath : nodeOf(Number(values.node))
const folder = mkdtempSync(join(tmpdir(), 'zerio-sums-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const allocate = `
  let kept
  const ring = new Array(20000)
  function allocate(megabytes) {
    for (let i = 0; i < megabytes * 1200; i++) { kept = new Array(100).fill(i); if (i % 10 === 0) ring[i % 20000] = { i } }
  }`
const files = {
  'trace.cjs': `
    const { setFlagsFromString, GCProfiler } = require('node:v8')
    const { appendFileSync } = require('node:fs')
    const { isMainThread, threadId } = require('node:worker_threads')
    const say = (what) => appendFileSync(${JSON.stringify(join(folder, 'sizes'))}, [what, process.pid, threadId, process.memoryUsage().heapUsed].join(' ') + '\\n')
    const { start } = GCProfiler.prototype
    GCProfiler.prototype.start = function () {
      GCProfiler.prototype.start = start
      start.call(this)
      // First, because V8 may collect while the size is written down.
      setFlagsFromString('--trace-gc')
      say('begin')
    }
    process.on('exit', () => { if (isMainThread) setFlagsFromString('--no-trace-gc'); say('end') })`,
  'workers.cjs': `
    const { Worker, isMainThread } = require('node:worker_threads')
    ${allocate}
    if (isMainThread) for (let i = 0; i < 3; i++) new Worker(__filename)
    allocate(150)`,
  'cluster.cjs': `
    const cluster = require('node:cluster')
    ${allocate}
    if (cluster.isPrimary) for (let i = 0; i < 2; i++) cluster.fork()
    else setTimeout(() => { allocate(200); process.disconnect() }, 100)
    allocate(100)`,
  'app.ts': `
    interface Trade { price: number }
    let kept: Trade[] | undefined
    for (let i = 0; i < 4_000_000; i++) kept = [{ price: i }, { price: i }]
    console.log(kept?.length)`,
  ...Object.fromEntries(
    [1, 2, 3].map((i) => [
      `numbers_${i}.test.mjs`,
      `import { test, expect } from 'vitest'\n${allocate}\ntest('allocates', () => { allocate(200); expect(1).toBe(1) })`
    ])
  )
}
const programs = {
  // So large that Node.js starts a worker without a collection: what is before a worker's own code, nothing in it can see.
  workers: ['node', '--min-semi-space-size=4', '--max-semi-space-size=4', 'workers.cjs'],
  cluster: ['cluster.cjs'],
  tsx: ['tsx', 'app.ts'],
  'vitest, forks': ['vitest', 'run', '--pool=forks'],
  'vitest, threads': ['vitest', 'run', '--pool=threads']
}

for (const [name, source] of Object.entries(files)) writeFileSync(join(folder, name), source)
writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }))
const options = {
  cwd: folder,
  encoding: 'utf8',
  maxBuffer: 2 ** 28,
  env: {
    ...process.env,
    PATH: `${dirname(node)}:${process.env.PATH}`,
    // What a thread that is killed allocated after its last collection is in no trace: a small young generation makes it little.
    NODE_OPTIONS: `--max-semi-space-size=4 --require ${join(folder, 'trace.cjs')}`,
    FORCE_COLOR: '0',
    CI: '1'
  }
}
const install = spawnSync('npm', ['install', '--no-audit', '--no-fund', 'tsx@4', 'vitest@3'], {
  ...options,
  env: process.env
})
if (install.status !== 0) throw new Error(install.stderr)

let failed = 0
for (const [name, args] of Object.entries(programs)) {
  if (values.only !== undefined && values.only !== name) continue
  writeFileSync(join(folder, 'sizes'), '')
  const { status, stdout, stderr } = spawnSync(node, [command, 'gc', '--json', ...args], options)
  const report = JSON.parse(stdout.slice(stdout.lastIndexOf('\n{"elapsedMs"') + 1))
  const traced = tracedOf(`${stdout}${stderr}`)
  const ratio = report.heapBytes / traced.bytes
  const areEqual = report.collections.minor === traced.minor && report.collections.major === traced.major
  const isRight = status === 0 && Math.abs(ratio - 1) <= 0.05 && (areEqual || !report.complete)
  if (!isRight) failed++
  console.log(
    `${isRight ? 'ok' : 'FAILED'} ${name}: ${report.parts.length} threads, ${report.complete ? 'complete' : 'incomplete'}, ` +
      `${(report.heapBytes / 1e6).toFixed(1)} of ${(traced.bytes / 1e6).toFixed(1)} MB (${((ratio - 1) * 100).toFixed(2)} %), ` +
      `minor ${report.collections.minor} of ${traced.minor}, major ${report.collections.major} of ${traced.major}`
  )
}
process.exit(failed === 0 ? 0 : 1)

/** All that the heaps grew by. A line of the trace is "[pid:isolate] … ms: Scavenge 5.1 (6.2) -> 4.3 (7.2) MB, …". */
function tracedOf(printed) {
  const found = { bytes: 0, minor: 0, major: 0 }
  /** The last size of each thread, by process. */
  const lastSizes = new Map()
  for (const [line, pid, isolate, kind, before, after] of printed.matchAll(
    /\[(\d+):(0x\w+)\][^\n]*? ms: (Scavenge|(?:Incremental )?Mark-Compact)[^\n]*? ([\d.]+) \([\d.]+\) -> ([\d.]+) \([^\n]*/g
  )) {
    // After the end of a thread, for the names of the functions that allocate.
    if (line.includes('sampling profiler')) continue
    found.bytes += (Number(before) - Number(after)) * 2 ** 20
    found[kind === 'Scavenge' ? 'minor' : 'major']++
    if (!lastSizes.has(pid)) lastSizes.set(pid, new Map())
    lastSizes.get(pid).set(isolate, Number(after) * 2 ** 20)
  }
  const ended = new Map()
  for (const [, what, pid, threadId, size] of readFileSync(join(folder, 'sizes'), 'utf8').matchAll(
    /^(begin|end) (\d+) (\d+) (\d+)$/gm
  )) {
    found.bytes += what === 'end' ? Number(size) : -Number(size)
    if (what === 'end') ended.set(`${pid} ${threadId}`, Number(size))
  }
  // Threads that were killed have no end; what they allocated after their last collection is in no trace.
  for (const [pid, sizes] of lastSizes) {
    const ends = [...ended.keys()].filter((one) => one.startsWith(`${pid} `)).length
    const mainSize = ended.get(`${pid} 0`) ?? 0
    // The trace does not say which thread is which: the main thread's last size is the nearest to its end.
    const byDistance = [...sizes.values()].sort((a, b) => Math.abs(a - mainSize) - Math.abs(b - mainSize))
    const withoutEnd = ends > 1 ? [] : byDistance.slice(ends)
    for (const size of withoutEnd) found.bytes += size
  }
  return found
}
