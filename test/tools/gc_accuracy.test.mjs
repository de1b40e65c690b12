// What a probe counts is what was allocated, to a byte or two per operation, however often V8 collects in between.
import test from 'ava'
import { runScript } from '../helpers/child.mjs'

const NODE = Number.parseInt(process.versions.node, 10)
const workloads = `
  const ring = new Array(100000).fill(null)
  let boxed = 0
  const workloads = {
    nothing: () => {},
    object: (i) => ({ x: i }),
    object4: (i) => ({ a: i, b: i, c: i, d: i }),
    double: (i) => { boxed = i + 0.5 },
    closure: (i) => () => i,
    array: () => new Array(100).fill(0),
    longArray: () => new Array(50000).fill(0),
    kept: (i) => { ring[i % ring.length] = { x: i } },
    bytes: () => new ArrayBuffer(4096),
    buffer: () => Buffer.alloc(1000),
    slices: () => Buffer.allocUnsafe(100),
    longBuffer: () => Buffer.alloc(100000)
  }
  const fewer = { longArray: 1000, longBuffer: 2000 }
`

const measureAll = (options) => `
  import { GcProbe } from 'zerio/gc'
  ${workloads}
  const results = {}
  for (const [name, work] of Object.entries(workloads)) {
    // The median of three: V8 may compile something during one of them.
    const options = { operations: fewer[name] ?? 100000, warmup: fewer[name] ? 500 : 20000, ...${JSON.stringify(options)} }
    const reports = [0, 1, 2].map(() => GcProbe.measure(work, options))
    results[name] = reports.sort((a, b) => a.heapBytes - b.heapBytes)[1]
  }
  console.log(JSON.stringify(results))
`

async function measured(t, script, flags) {
  const { code, stdout, stderr } = await runScript(script, { flags })
  t.is(stderr, '')
  t.is(code, 0)
  return JSON.parse(stdout)
}

/** Without pointer compression, as Node.js is built: three words and one for each field, and so on. */
const heapBytes = {
  nothing: 0,
  object: 32,
  object4: 56,
  double: 16,
  closure: 96,
  array: 848,
  longArray: 400_048,
  kept: 32
}
const externalBytes = { bytes: 4096, buffer: 1000, longBuffer: 100_000 }

function checkAll(t, results) {
  for (const [name, expected] of Object.entries(heapBytes)) {
    // The ends of V8's pages that are too short for the next object stay empty: they are used up all the same.
    // And V8 promotes whole pages when most of what is on them is alive.
    const tolerance = name === 'kept' ? 6 : 1 + expected * 0.006
    const { heapBytesPerOperation, externalBytesPerOperation } = results[name]
    t.true(Math.abs(heapBytesPerOperation - expected) < tolerance, `${name}: ${heapBytesPerOperation}`)
    t.true(externalBytesPerOperation < 1, `${name}: ${externalBytesPerOperation} external`)
  }
  for (const [name, expected] of Object.entries(externalBytes)) {
    const { heapBytesPerOperation, externalBytesPerOperation } = results[name]
    const tolerance = 1 + expected * 0.002
    t.true(
      Math.abs(externalBytesPerOperation - expected) < tolerance,
      `${name}: ${externalBytesPerOperation}`
    )
    t.true(
      heapBytesPerOperation > 80 && heapBytesPerOperation < 300,
      `${name}: ${heapBytesPerOperation} heap`
    )
  }
  // Slices of 104 bytes, 78 in each block of 8 KiB.
  const { externalBytesPerOperation } = results.slices
  t.true(Math.abs(externalBytesPerOperation - 8192 / 78) < 3, `slices: ${externalBytesPerOperation}`)
}

test.serial('known workloads are counted right with hundreds of collections in between', async (t) => {
  const results = await measured(t, measureAll({}), ['--max-semi-space-size=1'])
  checkAll(t, results)
  t.true(results.array.collections.minor > 30)
  // V8 of Node.js 26 needs none for them.
  if (NODE < 26) t.true(results.kept.collections.major + results.longArray.collections.major > 0)
  t.is(results.nothing.collections.total, 0)
})

test.serial('known workloads are counted right with few collections, and without samples', async (t) => {
  const results = await measured(t, measureAll({ samplingBytes: 0 }), [
    '--max-semi-space-size=64',
    '--min-semi-space-size=64'
  ])
  checkAll(t, results)
  t.is(results.object.collections.total, 0)
})

test.serial('live code may count its operations and report in between', async (t) => {
  const script = `
    import { GcProbe } from 'zerio/gc'
    ${workloads}
    const probe = new GcProbe()
    let kept
    const run = (count) => { for (let i = 0; i < count; i++) { kept = workloads.object4(i); probe.operation() } }
    run(50000)
    probe.start()
    const between = []
    for (let turn = 0; turn < 20; turn++) {
      run(20000)
      between.push(probe.report().operations)
      await new Promise(setImmediate)
    }
    const report = probe.stop()
    console.log(JSON.stringify({ between, report }))
  `
  const { between, report } = await measured(t, script, ['--max-semi-space-size=1'])
  t.deepEqual(
    between,
    Array.from({ length: 20 }, (_, i) => 20_000 * (i + 1))
  )
  t.is(report.operations, 400_000)
  t.true(Math.abs(report.heapBytesPerOperation - 56) < 2, String(report.heapBytesPerOperation))
  t.true(report.collections.minor > 10)
})

test.serial('measureAsync counts the promise, and not the waiting for it', async (t) => {
  const script = `
    import { GcProbe } from 'zerio/gc'
    const settled = Promise.resolve()
    const options = { operations: 100000 }
    const results = {
      settled: await GcProbe.measureAsync(() => settled, options),
      empty: await GcProbe.measureAsync(async () => {}, options),
      object: await GcProbe.measureAsync(async (i) => ({ x: i }), options)
    }
    console.log(JSON.stringify(results))
  `
  const { settled, empty, object } = await measured(t, script, ['--max-semi-space-size=1'])
  t.true(settled.heapBytesPerOperation < 5, String(settled.heapBytesPerOperation))
  const promise = empty.heapBytesPerOperation
  t.true(promise > 40 && promise < 64, String(promise))
  t.true(Math.abs(object.heapBytesPerOperation - promise - 32) < 7, String(object.heapBytesPerOperation))
  // What waiting for a promise allocates.
  t.true(Math.abs(empty.overheadBytes / 100_000 - (NODE < 26 ? 200 : 48)) < 20, String(empty.overheadBytes))
})

test.serial("the probe's own timer is subtracted", async (t) => {
  const script = `
    import { GcProbe } from 'zerio/gc'
    const idle = async (loopResolutionMs) => {
      const probe = new GcProbe({ samplingBytes: 0, loopResolutionMs }).start()
      await new Promise((resolve) => setTimeout(resolve, 600))
      return probe.stop()
    }
    await idle(0)
    console.log(JSON.stringify({ without: await idle(0), with: await idle(1) }))
  `
  const results = await measured(t, script)
  t.is(results.without.eventLoop.samples, 0)
  t.true(results.with.eventLoop.samples > 20)
  const overhead = results.with.overheadBytes
  // Later versions of Node.js allocate nothing for a turn of their loop.
  if (NODE <= 24) t.true(overhead >= results.with.eventLoop.samples * 50, String(overhead))
  const difference = Math.abs(results.with.heapBytes - results.without.heapBytes)
  t.true(difference < overhead / 4 + 8000, `${difference} of ${overhead}`)
})
