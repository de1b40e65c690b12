// `zerio/gc` and the command as users get them: types that hold, and files that are in the package.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { runScript } from '../helpers/child.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

const consumer = `
import { assertNoGarbage, expectBytesPerOperation, type GcAllocator, type GcComparison, type GcExpectation, type GcMeasureOptions, GcProbe, type GcProbeOptions, type GcProfile, type GcReport, type GcReportData } from 'zerio/gc'
import { withMitata, withTinybench, withVitest } from 'zerio/gc/bench'

const options: GcProbeOptions = { samplingBytes: 0, external: false }
const more: GcMeasureOptions = { ...options, operations: 10, warmup: 0 }
const probe: GcProbe = new GcProbe(options).start()
probe.operation()
probe.operation(5)
const report: GcReport = probe.stop()
const data: GcReportData = report
const bytes: number | null = data.heapBytesPerOperation
const top: GcAllocator[] = report.topAllocators
export const text: string = String(report) + bytes + top.length + report.pauseHistogram.percentile(99) + report.pauses.p99Us
export const once: GcReport = GcProbe.measure((i: number) => ({ x: i }), more)
export const later: Promise<GcReport> = GcProbe.measureAsync(async (i) => i, more)

export const none: GcReport = assertNoGarbage((i: number) => i, more)
export const noneLater: Promise<GcReport> = assertNoGarbage(async (i: number) => i)
const expectation: GcExpectation = { max: 16, timeLimitMs: 1000 }
export const some: GcReport = expectBytesPerOperation((i) => i + 0.5, expectation)

export const profile: GcProfile | undefined = report.profile
export const files: [string, Uint8Array] | undefined = profile && [profile.toHeapProfile(), profile.toPprof()]
export const comparison: Promise<GcComparison> = GcProbe.compare({ a: () => 1, b: async (i) => i }, { rounds: 5 })
export const names: Promise<string[]> = comparison.then(({ functions }) => functions.map(({ name, bytes }) => name + bytes))

const vitestBench = (name: string, fn?: () => void | Promise<void>, options?: { time?: number }): void => {}
export const bench: typeof vitestBench = withVitest(vitestBench)
const mitata = { bench: (name: string, fn: () => unknown) => fn, run: async (options?: { colors?: boolean }) => 5 }
export const wrapped: typeof mitata = withMitata(mitata)
export const rows: Promise<Record<string, string>[]> = withTinybench({ add: (name: string, fn: () => unknown) => fn }).table()

// @ts-expect-error functions, not results
GcProbe.compare({ a: 1 })
// @ts-expect-error how much is the point
expectBytesPerOperation(() => 1, {})
// @ts-expect-error unknown options are mistakes
new GcProbe({ samplingByte: 1 })
// @ts-expect-error these are of measure
new GcProbe({ operations: 1 })
// @ts-expect-error no promise
GcProbe.measureAsync(() => 5)
// @ts-expect-error read only
report.heapBytes = 5
// @ts-expect-error probes make them
new GcReport()
`

test('strict TypeScript programs compile: ES module and CommonJS', async (t) => {
  mkdirSync(join(root, 'build'), { recursive: true })
  const folder = mkdtempSync(join(root, 'build', 'types-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const files = ['consumer.mts', 'consumer.cts']
  for (const file of files) writeFileSync(join(folder, file), consumer)
  const compilerOptions = {
    strict: true,
    noEmit: true,
    module: 'node16',
    target: 'es2022',
    lib: ['es2023'],
    types: ['node']
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const output = await run(process.execPath, [compiler, '-p', folder]).then(
    ({ stdout }) => stdout,
    ({ stdout }) => stdout
  )
  t.is(output, '')
})

test('the package has the probe, the command and the walkthrough', async (t) => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root })
  const files = JSON.parse(stdout)[0].files.map(({ path }) => path)
  const { bin, exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const faces = ['./gc', './gc/bench'].flatMap((path) => Object.values(exports[path]).flatMap(Object.values))
  const promised = [bin.zerio, ...faces].map((path) => path.replace(/^\.\//, ''))
  for (const file of [
    ...promised,
    'dist/index.js',
    'dist/cli/gc_preload.js',
    'dist/cli/bench_child.js',
    'docs/gc.md',
    'docs/images/gc_report.png',
    'gc/bench/package.json',
    'docs/examples/gc_accuracy.mjs',
    'docs/examples/gc_walkthrough/main.mjs'
  ]) {
    t.true(files.includes(file), file)
  }
  t.true((await readFile(join(root, bin.zerio), 'utf8')).startsWith('#!/usr/bin/env node\n'))
  t.deepEqual(
    files.filter((name) => /^(dist\/demo|examples)\//.test(name)),
    []
  )
  // Nothing that is packed needs what is not.
  for (const file of files.filter((name) => /^dist\/(cli|gc)\/.*\.js$/.test(name))) {
    t.false((await readFile(join(root, file), 'utf8')).includes('/demo/'), file)
  }
})

test('the probe loads neither the engine nor anything else of zerio', async (t) => {
  const { stdout } = await runScript(`
    import { createRequire } from 'node:module'
    import { sep } from 'node:path'
    const require = createRequire(process.cwd() + '/')
    const before = Object.keys(require.cache)
    require('zerio/gc')
    const files = Object.keys(require.cache).filter((name) => !before.includes(name))
    const loaded = files.map((name) => name.split(sep).slice(-2))
    console.log(loaded.filter(([folder]) => folder !== 'gc').map(([, file]) => file).join())
  `)
  t.is(stdout, 'errors.js,given.js\n')
})
