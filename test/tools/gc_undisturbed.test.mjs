// Measuring leaves the program as it is: no collection that V8 would not have made, none that is missed, and an end in time.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import typescript from 'typescript'
import { runScript } from '../helpers/child.mjs'

async function printed(t, script, options) {
  const { code, stdout, stderr } = await runScript(`import { GcProbe } from 'zerio/gc'\n${script}`, options)
  t.is(stderr, '')
  t.is(code, 0)
  return stdout
}

/** How many of V8's own lines of collections have this kind, and this reason. */
const traced = (stdout, kind, reason = '') =>
  stdout.match(new RegExp(`^\\[.* ms: ${kind} .*${reason}`, 'gm'))?.length ?? 0

test.serial(
  "a run leaves few of V8's profilers behind, each of which would slow every collection",
  async (t) => {
    const { code, stdout, stderr } = await runScript(
      `
      import { createRequire } from 'node:module'
      const require = createRequire(process.cwd() + '/')
      const { Run } = require('./dist/gc/run.js')
      const run = new Run({ samplingBytes: 0, topAllocators: 0, external: false, loopResolutionMs: 0 })
      let taken = 0
      let attempts = 0
      let kept = []
      // By the time, because a slow system has slow timers.
      for (const endMs = performance.now() + 3000; performance.now() < endMs || attempts < 200; attempts++) {
        // Two collections of the young generation, so that the profiler is promoted.
        for (let j = 0; j < 2; j++) {
          kept = Array.from({ length: 100 }, (_, k) => ({ k }))
          gc({ type: 'minor' })
        }
        await new Promise((resolve) => setTimeout(resolve, 2))
        if (run.takeWhenDue(1)) taken++
      }
      const left = run.meter.endedProfilers
      await new Promise((resolve) => setTimeout(resolve, 5))
      gc()
      await new Promise((resolve) => setTimeout(resolve, 5))
      const due = run.takeWhenDue(1)
      run.end()
      console.log(JSON.stringify({ attempts, taken, left, due, afterMajor: run.meter.endedProfilers, kept: kept.length }))
    `,
      { flags: ['--expose-gc'] }
    )
    t.is(stderr, '')
    t.is(code, 0)
    const { attempts, taken, left, due, afterMajor } = JSON.parse(stdout)
    t.true(taken < attempts / 2, `${taken} takes of ${attempts}`)
    // Those that are free, and one for each time that the time doubled. A slow machine has longer pauses, and more are free.
    t.true(left >= 2 && left < 60, `${left} are left`)
    t.true(due, 'a major collection makes the next one due')
    t.true(afterMajor <= 1, `${afterMajor} are left behind a major collection`)
  }
)

test.serial(
  'between collections what V8 has recorded is taken without leaving a profiler behind',
  async (t) => {
    const { code, stdout, stderr } = await runScript(
      `
      import { createRequire } from 'node:module'
      const require = createRequire(process.cwd() + '/')
      const { Run } = require('./dist/gc/run.js')
      const run = new Run({ samplingBytes: 0, topAllocators: 0, external: false, loopResolutionMs: 0 }, undefined, undefined, false)
      const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
      // By hand, because timers are late: three turns between two collections of the young generation, 30 ms apart or more.
      let written = 0
      let turns = 0
      let kept = []
      for (let i = 0; i < 100; i++) {
        kept = Array.from({ length: 100 }, (_, k) => ({ k }))
        gc({ type: 'minor' })
        for (let j = 0; j < 3; j++) {
          await wait(10)
          turns++
          if (run.turn(100, () => written++)) await wait(0)
        }
      }
      const left = run.meter.endedProfilers
      const busyMs = run.calmMs
      for (let i = 0; i < 30; i++) {
        await wait(10)
        run.turn(100, () => written++)
      }
      const idleMs = run.calmMs
      run.end()
      const { collections } = run.data(0, 0)
      console.log(JSON.stringify({ turns, written, left, busyMs, idleMs, minor: collections.minor, kept: kept.length }))
    `,
      { flags: ['--expose-gc'] }
    )
    t.is(stderr, '')
    t.is(code, 0)
    const { turns, written, left, busyMs, idleMs, minor } = JSON.parse(stdout)
    t.true(minor >= 100, `${minor} collections`)
    t.true(left <= 2, `${left} are left`)
    t.true(written > 10 && written < turns / 2, `${written} reports of ${turns} turns`)
    t.true(busyMs > 3, `${busyMs} ms`)
    t.true(idleMs > 3 * busyMs, `${idleMs} ms, and ${busyMs} before`)
  }
)

test.serial('a probe that samples forces no collection while it measures', async (t) => {
  const stdout = await printed(
    t,
    `
      import { setFlagsFromString } from 'node:v8'
      const held = Array.from({ length: 200000 }, (_, i) => ({ x: i }))
      const probe = new GcProbe({ samplingBytes: 4096 }).start()
      setFlagsFromString('--trace-gc')
      for (let i = 0; i < 5; i++) {
        probe.report()
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      setFlagsFromString('--no-trace-gc')
      console.log('end')
      setFlagsFromString('--trace-gc')
      const { topAllocators } = probe.stop()
      setFlagsFromString('--no-trace-gc')
      console.log(held.length, topAllocators.length > 0)
    `
  )
  const [measured, end] = stdout.split('end\n')
  t.is(traced(measured, 'Mark-Compact', 'sampling profiler'), 0)
  t.is(traced(end, 'Mark-Compact', 'sampling profiler'), 1)
  t.true(end.endsWith('200000 true\n'), stdout)
})

test.serial("collections are those of V8's trace, also those while a report is made", async (t) => {
  const stdout = await printed(
    t,
    `
      import { setFlagsFromString } from 'node:v8'
      let kept
      const probe = new GcProbe().start()
      setFlagsFromString('--trace-gc')
      for (let i = 0; i < 300; i++) {
        for (let j = 0; j < 1000; j++) kept = new Array(100).fill(j)
        if (i === 100 || i === 200) gc()
        probe.report()
      }
      setFlagsFromString('--no-trace-gc')
      const { minor, major } = probe.stop().collections
      console.log(JSON.stringify({ minor, major }))
    `,
    { flags: ['--expose-gc', '--max-semi-space-size=1'] }
  )
  const { minor, major } = JSON.parse(stdout.match(/\{.*\}$/m)[0])
  t.true(minor > 50)
  t.is(minor, traced(stdout, 'Scavenge'))
  t.is(major, 2)
  t.is(major, traced(stdout, 'Mark-Compact'))
})

test.serial('reports of an idle program never go backward', async (t) => {
  const stdout = await printed(
    t,
    `
      const probe = new GcProbe({ samplingBytes: 0, loopResolutionMs: 1 }).start()
      const found = []
      for (let i = 0; i < 10; i++) {
        await new Promise((resolve) => setTimeout(resolve, 60))
        const { heapBytes, overheadBytes } = probe.report()
        found.push(heapBytes)
      }
      console.log(JSON.stringify(found))
    `
  )
  const found = JSON.parse(stdout)
  // What V8 allocates for itself outweighs nothing: with too much subtracted each would be below the one before.
  t.deepEqual(
    found.filter((bytes, i) => bytes < (found[i - 1] ?? 0) - 1000),
    []
  )
})

test.serial('a slow operation ends in time', async (t) => {
  const stdout = await printed(
    t,
    `
      const slow = () => { const end = performance.now() + 9; while (performance.now() < end); }
      const slowLater = async () => slow()
      const options = { timeLimitMs: 400 }
      const start = performance.now()
      const reports = [GcProbe.measure(slow, options), await GcProbe.measureAsync(slowLater, options)]
      console.log(JSON.stringify({ ms: performance.now() - start, reports }))
    `
  )
  const { ms, reports } = JSON.parse(stdout)
  t.true(ms < 8000, String(ms))
  for (const { operations, notes } of reports) {
    t.true(operations >= 1 && operations <= 45, String(operations))
    t.deepEqual(notes, [`400 ms were over after ${operations} of 100000 operations (timeLimitMs).`])
  }
})

test.serial('an operation is measured after V8 has compiled it, however long that takes', async (t) => {
  const stdout = await printed(
    t,
    `
      const empty = async () => {}
      const report = await GcProbe.measureAsync(empty, { operations: 20000 })
      console.log(report.heapBytesPerOperation)
    `
  )
  // Before, an asynchronous function allocates 200 bytes and more.
  t.true(Number(stdout) > 40 && Number(stdout) < 64, stdout)
})

for (const [what, inline, flags] of [
  ['a map beside the script', false, []],
  ['a map in the script', true, []],
  ['maps that Node.js keeps', true, ['--enable-source-maps']]
]) {
  test.serial(`allocators have the lines of the user's source: ${what}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'zerio-maps-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const source =
      'interface Trade {\n  price: number\n}\n\nexport function trade(i: number): Trade {\n  return { price: i }\n}\n'
    const { outputText, sourceMapText } = typescript.transpileModule(source, {
      fileName: 'trade.ts',
      compilerOptions: { module: 'ESNext', target: 'ES2022', sourceMap: !inline, inlineSourceMap: inline }
    })
    writeFileSync(join(folder, 'trade.mjs'), outputText.replace('trade.js.map', 'trade.map'))
    if (!inline) writeFileSync(join(folder, 'trade.map'), sourceMapText)
    const stdout = await printed(
      t,
      `
        import { trade } from ${JSON.stringify(pathToFileURL(join(folder, 'trade.mjs')).href)}
        const report = GcProbe.measure(trade, { operations: 500000, samplingBytes: 1024 })
        console.log(JSON.stringify(report.topAllocators[0]))
      `,
      { flags }
    )
    const { functionName, url, line } = JSON.parse(stdout)
    t.is(functionName, 'trade')
    t.is(url, pathToFileURL(join(folder, 'trade.ts')).href)
    t.is(line, 5)
  })
}
