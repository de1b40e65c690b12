// GcProbe: what it reports besides bytes, its two shapes, and its answers to misuse.
import { createRequire } from 'node:module'
import test from 'ava'
import * as esm from 'zerio/gc'
import { runScript } from '../helpers/child.mjs'

const { GcProbe, assertNoGarbage } = esm

async function printed(t, script, options) {
  const { code, stdout, stderr } = await runScript(`import { GcProbe } from 'zerio/gc'\n${script}`, options)
  t.is(stderr, '')
  t.is(code, 0)
  return JSON.parse(stdout)
}

test.serial('both faces export the same objects', (t) => {
  const commonJs = createRequire(import.meta.url)('zerio/gc')
  t.deepEqual(Object.keys(commonJs).sort(), Object.keys(esm).sort())
  t.is(commonJs.GcProbe, GcProbe)
  t.is(commonJs.assertNoGarbage, assertNoGarbage)
  t.deepEqual(Object.keys(esm).sort(), ['GcProbe', 'assertNoGarbage', 'expectBytesPerOperation'])
})

test.serial('the report has collections by kind, and their pauses', async (t) => {
  const report = await printed(
    t,
    `
      const probe = new GcProbe().start()
      for (let i = 0; i < 5; i++) gc({ type: 'minor' })
      for (let i = 0; i < 3; i++) gc()
      const report = probe.stop()
      console.log(JSON.stringify({ ...report, histogramCount: report.pauseHistogram.count, histogramMaxNs: report.pauseHistogram.max }))
    `,
    { flags: ['--expose-gc'] }
  )
  const { collections, pauses } = report
  t.is(collections.minor, 5)
  t.is(collections.major, 3)
  t.is(collections.total, 8)
  t.is(pauses.count, 8 + collections.incrementalMarking + collections.other)
  t.is(report.histogramCount, pauses.count)
  t.true(Math.abs(report.histogramMaxNs / 1000 - pauses.maxUs) <= pauses.maxUs * 0.01)
  t.true(0 < pauses.p50Us && pauses.p50Us <= pauses.p90Us && pauses.p90Us <= pauses.p99Us)
  t.true(pauses.p99Us <= pauses.p999Us && pauses.p999Us <= pauses.maxUs)
  t.true(pauses.maxUs / 1000 <= pauses.totalMs && pauses.totalMs <= report.elapsedMs)
  t.true(Math.abs(pauses.share - pauses.totalMs / report.elapsedMs) < 1e-9)
})

test.serial('the report has the time of an operation, and its bytes by generation', async (t) => {
  const { busy, dropped, survives, old } = await printed(
    t,
    `
      const kept = []
      const calls = { operations: 20000 }
      const busy = GcProbe.measure(() => { for (const end = performance.now() + 0.01; performance.now() < end;); }, calls)
      const dropped = GcProbe.measure(() => new Array(100).fill(0), calls)
      const survives = GcProbe.measure((i) => { kept[i] = JSON.parse('[1, 2, 3, 4, 5, 6]') }, { operations: 100_000 })
      const probe = new GcProbe().start()
      // V8 makes bytecode in the old generation.
      for (let i = 0; i < 200; i++) new Function('x', 'return ' + i + ' + x'.repeat(300))(1)
      const old = probe.stop()
      console.log(JSON.stringify({ busy, dropped, survives, old }))
    `,
    { flags: ['--max-semi-space-size=1'] }
  )
  t.true(busy.nsPerOperation >= 10_000 && busy.nsPerOperation * 20_000 <= busy.elapsedMs * 1e6)
  t.is(old.nsPerOperation, null)
  for (const { generations, heapBytes } of [busy, dropped, survives, old]) {
    t.is(generations.youngBytes + generations.oldBytes, heapBytes)
  }
  t.true(dropped.generations.youngBytes > dropped.heapBytes * 0.99)
  t.true(dropped.generations.promotedBytes < dropped.heapBytes * 0.05)
  t.true(survives.generations.promotedBytes > survives.heapBytes * 0.5, JSON.stringify(survives.generations))
  t.true(old.generations.oldBytes > 200 * 300, JSON.stringify(old.generations))
})

test.serial('a blocked event loop shows as delay', async (t) => {
  const { eventLoop, elapsedMs } = await printed(
    t,
    `
      const probe = new GcProbe().start()
      await new Promise((resolve) => setTimeout(resolve, 50))
      const end = performance.now() + 200
      while (performance.now() < end);
      await new Promise((resolve) => setTimeout(resolve, 50))
      console.log(JSON.stringify(probe.stop()))
    `
  )
  t.true(eventLoop.samples > 0)
  t.true(eventLoop.maxMs > 150 && eventLoop.maxMs <= elapsedMs, String(eventLoop.maxMs))
  t.true(eventLoop.p50Ms <= eventLoop.p99Ms && eventLoop.p99Ms <= eventLoop.maxMs)
  t.true(eventLoop.utilization > 0.2 && eventLoop.utilization <= 1)
})

test.serial('the report names who allocates, by function and line, collected objects included', async (t) => {
  const { topAllocators, heapBytes } = await printed(
    t,
    `
      function three(i) { return [new Array(30).fill(i), new Array(30).fill(i), new Array(30).fill(i)] }
      function one(i) { return new Array(30).fill(i) }
      let kept
      const work = (i) => { kept = three(i); kept = one(i) }
      console.log(JSON.stringify(GcProbe.measure(work, { operations: 50000, samplingBytes: 4096, topAllocators: 2 })))
    `,
    // Inlined, both would be a part of their caller.
    { flags: ['--max-inlined-bytecode-size=0'] }
  )
  t.deepEqual(
    topAllocators.map(({ functionName }) => functionName),
    ['three', 'one']
  )
  const [three, one] = topAllocators
  t.is(three.line, 3)
  t.is(one.line, 4)
  t.true(Math.abs(three.bytes / one.bytes - 3.1) < 0.6, String(three.bytes / one.bytes))
  t.true(
    Math.abs((three.bytes + one.bytes) / heapBytes - 1) < 0.15,
    String((three.bytes + one.bytes) / heapBytes)
  )
  t.true(Math.abs(three.share + one.share - 1) < 0.05)
})

test.serial('the probe thins out many samples, and they still add up', async (t) => {
  const report = await printed(
    t,
    `
      const probe = new GcProbe({ samplingBytes: 512 }).start()
      let kept
      // 32 MB would be 60,000 samples each time.
      for (let turn = 0; turn < 4; turn++) {
        for (let i = 0; i < 40000; i++) kept = new Array(100).fill(i)
        probe.report()
      }
      console.log(JSON.stringify(probe.stop()))
    `
  )
  const sampled = report.topAllocators.reduce((bytes, one) => bytes + one.bytes, 0)
  t.true(Math.abs(report.heapBytes / (4 * 40_000 * 848) - 1) < 0.02, String(report.heapBytes))
  t.true(Math.abs(sampled / report.heapBytes - 1) < 0.1, String(sampled / report.heapBytes))
})

test.serial("the probe goes on when the program stops V8's sampler", async (t) => {
  const [first, last] = await printed(
    t,
    `
      import { Session } from 'node:inspector'
      const session = new Session()
      session.connect()
      let kept
      const allocate = () => { for (let i = 0; i < 20000; i++) kept = new Array(100).fill(i) }
      const probe = new GcProbe({ samplingBytes: 4096 }).start()
      session.post('HeapProfiler.startSampling')
      session.post('HeapProfiler.stopSampling')
      allocate()
      // Another probe has the sampler started again.
      new GcProbe().start().stop()
      allocate()
      console.log(JSON.stringify([probe.report(), probe.stop()]))
    `
  )
  t.deepEqual(first.topAllocators, [])
  t.deepEqual(first.notes, [])
  t.is(last.notes.length, 1)
  t.regex(last.notes[0], /stopped V8's sampler/)
  t.true(Math.abs(last.heapBytes / (40_000 * 848) - 1) < 0.1, String(last.heapBytes))
  // The program took the samples of the first half; those of the second are the probe's.
  const sampled = last.topAllocators.reduce((bytes, one) => bytes + one.bytes, 0)
  t.true(Math.abs(sampled / (20_000 * 848) - 1) < 0.2, String(sampled))
})

test.serial('each of several nested probes has what was allocated in its time', async (t) => {
  const [inner, outer] = await printed(
    t,
    `
      let kept
      function early() { for (let i = 0; i < 20000; i++) kept = new Array(100).fill(i) }
      function late() { for (let i = 0; i < 20000; i++) kept = new Array(100).fill(i) }
      const options = { samplingBytes: 4096, topAllocators: 2 }
      const outer = new GcProbe(options).start()
      early()
      const inner = new GcProbe(options).start()
      late()
      const reports = [inner.stop(), outer.stop()]
      console.log(JSON.stringify(reports))
    `,
    { flags: ['--max-inlined-bytecode-size=0'] }
  )
  const namesOf = ({ topAllocators }) => topAllocators.map(({ functionName }) => functionName)
  t.deepEqual(namesOf(outer).sort(), ['early', 'late'])
  t.is(namesOf(inner)[0], 'late')
  t.true(inner.topAllocators[0].share > 0.8)
  t.true(Math.abs(inner.heapBytes / (20_000 * 848) - 1) < 0.1, String(inner.heapBytes))
  t.true(Math.abs(outer.heapBytes / (40_000 * 848) - 1) < 0.1, String(outer.heapBytes))
})

test.serial('a worker measures its own heap', async (t) => {
  const report = await printed(
    t,
    `
      import { Worker } from 'node:worker_threads'
      const code = \`
        const { GcProbe } = require('zerio/gc')
        require('node:worker_threads').parentPort.postMessage(JSON.stringify(GcProbe.measure((i) => ({ x: i }))))
      \`
      new Worker(code, { eval: true, execArgv: [] }).on('message', (text) => console.log(text))
    `
  )
  t.true(Math.abs(report.heapBytesPerOperation - 32) < 4, String(report.heapBytesPerOperation))
})

test.serial('the count of operations goes beyond 2^31 and allocates nothing', (t) => {
  const probe = new GcProbe({ samplingBytes: 0, loopResolutionMs: 0, external: false }).start()
  for (let i = 0; i < 5; i++) probe.operation(2 ** 30)
  probe.operation()
  t.is(probe.operations, 5 * 2 ** 30 + 1)
  probe.operation(2 ** 40 + 1)
  probe.operation(0)
  t.is(probe.operations, 2 ** 40 + 5 * 2 ** 30 + 2)
  t.is(probe.stop().operations, 2 ** 40 + 5 * 2 ** 30 + 2)
  const count = () => probe.operation()
  t.notThrows(() => assertNoGarbage(count))
})

test.serial('a report is data, JSON and a table', (t) => {
  const report = GcProbe.measure((i) => ({ x: i }), { operations: 200_000 })
  const data = JSON.parse(JSON.stringify(report))
  t.deepEqual(data, { ...report })
  t.is(data.operations, 200_000)
  const table = String(report)
  t.regex(table, /^time .* 200,000 operations +[\d.]+ ns\/operation$/m)
  const [, heapMb, perOperation] = table.match(/^heap +(\S+) MB .* (\S+) B\/operation$/m)
  t.true(Math.abs(Number(heapMb) * 1e6 - report.heapBytes) <= 0.006 * report.heapBytes, table)
  // How right the figure is is gc_accuracy's business, which measures more than once.
  t.true(Math.abs(Number(perOperation) - report.heapBytesPerOperation) <= 0.06, table)
  t.regex(table, /^external +\d/m)
  t.regex(table, /^collections +\d+ minor +\d+ major$/m)
  t.regex(table, /^top allocating functions\n {2}\d+\.\d % /m)
  for (const line of table.split('\n')) t.is(line, line.trimEnd())
  // Without operations there is nothing to divide by.
  const idle = new GcProbe({ external: false }).start().stop()
  t.is(idle.heapBytesPerOperation, null)
  t.is(idle.externalBytes, null)
  t.false(String(idle).includes('/operation'))
})

test.serial('misuse is named', async (t) => {
  for (const options of [
    { samplingBytes: 1 },
    { samplingBytes: -1 },
    { samplingBytes: 1.5 },
    { topAllocators: 1001 },
    { external: 1 },
    { loopResolutionMs: '10' },
    { operations: 5 },
    null,
    7
  ]) {
    t.throws(() => new GcProbe(options), { code: 'ZERIO_BAD_OPTION' }, JSON.stringify(options))
  }
  t.throws(() => GcProbe.measure(() => {}, { operations: 0 }), { code: 'ZERIO_BAD_OPTION' })
  t.throws(() => GcProbe.measure('text'), { code: 'ZERIO_BAD_ARGUMENT' })
  t.throws(() => GcProbe.measure(async () => {}), { code: 'ZERIO_BAD_ARGUMENT', message: /measureAsync/ })
  await t.throwsAsync(GcProbe.measureAsync(undefined), { code: 'ZERIO_BAD_ARGUMENT' })

  const probe = new GcProbe()
  t.throws(() => probe.stop(), { code: 'ZERIO_NOT_STARTED' })
  t.throws(() => probe.report(), { code: 'ZERIO_NOT_STARTED' })
  t.false(probe.isRunning)
  probe.start()
  t.true(probe.isRunning)
  t.throws(() => probe.start(), { code: 'ZERIO_ALREADY_STARTED' })
  for (const count of [-1, 1.5, 'x', '1', Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, null, 1n]) {
    t.throws(() => probe.operation(count), { code: 'ZERIO_BAD_ARGUMENT' }, String(count))
  }
  t.is(probe.stop().operations, 0)
  t.notThrows(() => probe.start().stop())
})

test.serial('measure passes on what the work throws', async (t) => {
  const fail = (i) => {
    if (i === 500) throw new RangeError('enough')
  }
  t.throws(() => GcProbe.measure(fail, { warmup: 0, operations: 1000 }), { instanceOf: RangeError })
  await t.throwsAsync(
    GcProbe.measureAsync(async (i) => fail(i), { warmup: 0, operations: 1000 }),
    { instanceOf: RangeError }
  )
})
