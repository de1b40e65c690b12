// Measures what is known: what a GcProbe finds for objects whose size is known, and how much slower it makes a program that only
// allocates. docs/gc.md has the results. Run it as: node docs/examples/gc_accuracy.mjs
import { GcProbe } from 'zerio/gc'

const operations = 200_000
let boxed = 0
const known = [
  ['nothing', 0, 0, () => {}],
  ['{ x: i }', 32, 0, (i) => ({ x: i })],
  [
    'a double in a closure',
    16,
    0,
    (i) => {
      boxed = (boxed + i) * 0.3
    }
  ],
  ['() => i', 96, 0, (i) => () => i],
  ['new Array(100).fill(0)', 848, 0, () => new Array(100).fill(0)],
  ['new ArrayBuffer(4096)', 88, 4096, () => new ArrayBuffer(4096)]
]

console.log('one operation            heap: known  found     external: known  found    collections')
for (const [name, heapBytes, externalBytes, work] of known) {
  // The median of three: V8 may compile something during one of them.
  const reports = [0, 1, 2].map(() => GcProbe.measure(work, { operations }))
  const report = reports.sort((a, b) => a.heapBytes - b.heapBytes)[1]
  const cells = [
    name.padEnd(24),
    String(heapBytes).padStart(11),
    report.heapBytesPerOperation.toFixed(2).padStart(7),
    String(externalBytes).padStart(15),
    report.externalBytesPerOperation.toFixed(2).padStart(8),
    String(report.collections.total).padStart(10)
  ]
  console.log(cells.join(' '))
}

/** Median time of an operation, in nanoseconds, with this kind of probe; the kinds take turns. */
function timesOf(kinds) {
  const timesNs = kinds.map(() => [])
  const work = (i) => ({ x: i })
  let kept
  const run = () => {
    for (let i = 0; i < 2_000_000; i++) kept = work(i)
    return kept
  }
  run()
  for (let repetition = 0; repetition < 9; repetition++) {
    for (const [kind, options] of kinds.entries()) {
      const probe = options && new GcProbe(options).start()
      const start = performance.now()
      run()
      timesNs[kind].push(((performance.now() - start) * 1e6) / 2_000_000)
      probe?.stop()
    }
  }
  return timesNs.map((times) => times.sort((a, b) => a - b)[times.length >> 1])
}

const [none, counting, sampling] = timesOf([null, { samplingBytes: 0 }, {}])
console.log(`\nallocating { x: i } takes ${none.toFixed(1)} ns without a probe`)
console.log(`  ${counting.toFixed(1)} ns (${(counting / none).toFixed(2)} x) with one that does not sample`)
console.log(
  `  ${sampling.toFixed(1)} ns (${(sampling / none).toFixed(2)} x) with one that samples every 32 KiB`
)
