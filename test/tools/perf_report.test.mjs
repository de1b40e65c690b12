// The benchmarks' own arithmetic: percentile files, V8's trace lines, noise; and what a run writes: the page, data files, the README's table.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { atLeast, atMost } from '../../perf/lib/aims.mjs'
import { parseCells } from '../../perf/lib/cells.mjs'
import { byKind, collectionsIn } from '../../perf/lib/garbage_lines.mjs'
import { emptyHistogram, hgrmOf, recordFile, summaryOf } from '../../perf/lib/latencies.mjs'
import { noiseSentence } from '../../perf/lib/noise.mjs'
import { medianInterval, ratiosWithin } from '../../perf/lib/stats.mjs'
import { DataFiles, readDataFile, rounded } from '../../perf/report/data_files.mjs'
import { failed, table } from '../../perf/report/markdown.mjs'
import { readmeTable, writeReadme } from '../../perf/report/readme.mjs'
import { writeReport } from '../../perf/report/report.mjs'
import { madeUpResults } from '../helpers/perf_results.mjs'

function temporary(t) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-perf-test-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a file of latencies becomes percentiles', (t) => {
  const file = join(temporary(t), 'samples.f64')
  writeFileSync(
    file,
    Float64Array.from({ length: 10_000 }, (_, i) => (i + 1) * 1000)
  )
  const histogram = emptyHistogram()
  recordFile(histogram, file)
  const { count, p50Us, p99Us, p9999Us, maxUs } = summaryOf(histogram)
  t.is(count, 10_000)
  for (const [value, expected] of [
    [p50Us, 5_000],
    [p99Us, 9_900],
    [p9999Us, 9_999],
    [maxUs, 10_000]
  ]) {
    t.true(Math.abs(value / expected - 1) < 0.002, `${value} is not ${expected}`)
  }
  t.throws(() => readFileSync(file), { code: 'ENOENT' })
})

test('a stall decides the p99 of its own window only', (t) => {
  const file = join(temporary(t), 'samples.f64')
  // Three windows of 1 to 500 microseconds; the second one stalls.
  const samples = Float64Array.from({ length: 1_600 }, (_, i) => ((i % 500) + 1) * 1000)
  samples.fill(5e6, 700, 750)
  writeFileSync(file, samples)
  t.deepEqual(recordFile(emptyHistogram(), file), [495, 5000, 495])
  writeFileSync(file, Float64Array.of(3000, 1000, 2000))
  t.deepEqual(recordFile(emptyHistogram(), file), [3])
})

test('percentiles that no sample exceeds are left out', (t) => {
  const histogram = emptyHistogram()
  for (let i = 1; i <= 500; i++) histogram.record(i * 1000)
  const summary = summaryOf(histogram)
  t.true('p99Us' in summary)
  t.false('p999Us' in summary)
})

test('.hgrm files rise to the maximum and count all samples', (t) => {
  const histogram = emptyHistogram()
  for (let i = 1; i <= 1_000; i++) histogram.record(i * 1000)
  const lines = hgrmOf(histogram).trimEnd().split('\n')
  t.regex(lines[0], /^\s+Value\s+Percentile\s+TotalCount\s+1\/\(1-Percentile\)$/)
  const rows = lines.slice(2, -2).map((line) => line.trim().split(/\s+/))
  const columns = rows.map(([value, percentile, total]) => [value, percentile, total].map(Number))
  for (let i = 1; i < columns.length; i++) {
    for (const column of [0, 1, 2]) t.true(columns[i][column] >= columns[i - 1][column])
  }
  t.is(columns.at(-1)[1], 1)
  t.is(columns.at(-1)[2], 1_000)
  t.is(rows.at(-1)[3], 'inf')
  t.true(Math.abs(columns.at(-1)[0] - 1_000) < 2)
  t.regex(lines.at(-1), /^#\[Max {5}= +\d+\.\d{3}, Total count {4}= +1000\]$/)
})

test('collections are read from what this Node prints', (t) => {
  const lines = [
    '[12:0x5]       40 ms: Scavenge 4.5 (5.1) -> 3.5 (6.1) MB, 0.55 / 0.00 ms  (average mu = 1.000) allocation failure;',
    '[12:0x5]       52 ms: Mark-Compact (reduce) 6.0 (8.0) -> 4.0 (7.0) MB, 2.5 / 0.1 ms  (average mu = 1.000)',
    'something else'
  ]
  const collections = collectionsIn(lines)
  t.deepEqual(byKind(collections), {
    Scavenge: { count: 1, pauseMsMax: 0.55, pauseMsTotal: 0.55 },
    'Mark-Compact': { count: 1, pauseMsMax: 2.5, pauseMsTotal: 2.5 }
  })
  t.is(
    collections.reduce((sum, { freedBytes }) => sum + freedBytes, 0),
    3 * 2 ** 20
  )
})

test('a cell is read from text', (t) => {
  t.deepEqual(parseCells('32:20:5:100'), [
    { name: '32:20:5', bytes: 32, intervalUs: 20, burst: 5, bursts: 100 }
  ])
})

test('noise is a sentence only when it is too much', (t) => {
  t.is(noiseSentence({ othersPart: 0.05, stolenPart: 0.01 }), null)
  t.is(noiseSentence({ othersPart: 0.34, stolenPart: 0 }), 'other processes took 34 % of its CPU time')
  t.is(noiseSentence({ othersPart: 0, stolenPart: 0.2 }), 'its hypervisor took 20 % of its CPU time')
})

test('a ratio is decided when its interval lies on one side of the aim', (t) => {
  t.deepEqual(medianInterval([5, 1, 4, 2, 3]), [1, 5])
  // 2 * (1 + 11 + 55) / 2 ** 11 is 6.5 %; one more on each side would be 22 %.
  t.deepEqual(medianInterval([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), [3, 9])
  t.deepEqual(medianInterval([1, 2, 3, 4]), [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY])
  const around = [0.9, 0.95, 1, 1.05, 1.1]
  t.is(atMost('', around, 1.1).decision, 'reached')
  t.is(atMost('', around, 1).decision, 'not decided')
  t.is(atMost('', around, 0.89).decision, 'missed')
  t.is(atLeast('', around, 0.9).decision, 'reached')
  t.is(atLeast('', around, 1.05).decision, 'not decided')
  t.is(atLeast('', around, 1.11).decision, 'missed')
  t.is(atMost('', [0.5, 0.5, 0.5, 0.5], 1).decision, 'not decided')
  t.deepEqual(ratiosWithin([{ a: 4 }, { a: 9 }, { a: 1 }], [{ a: 2 }, { a: 3 }], 'a'), [2, 3])
})

test('columns of numbers stand to the right', (t) => {
  t.is(table(['a', 'b'], [['32 B one way', '1.5 ×']]).split('\n')[1], '| --- | ---: |')
})

test('the page is written again and again, and what was written by hand stays', async (t) => {
  const page = join(temporary(t), 'performance.md')
  writeFileSync(page, '# Performance\n\nBy hand.\n')
  const garbage = (collections) => {
    const result = madeUpResults(1).get('garbage')
    const side = { bytesPerMessage: 0, mallocsPerMessage: 0, collections }
    return {
      ...result,
      data: { ...result.data, programs: { zerio: { roundTrips: 10, echo: side, client: side } } }
    }
  }
  await writeReport(page, new Map([['garbage', garbage({})]]), null)
  const first = readFileSync(page, 'utf8')
  t.true(first.startsWith('# Performance\n'))
  t.true(first.endsWith('By hand.\n'))
  t.true(first.includes('## Garbage'))
  const collections = { Scavenge: { count: 7, pauseMsMax: 1, pauseMsTotal: 2 } }
  await writeReport(page, new Map([['garbage', garbage(collections)]]), null)
  const second = readFileSync(page, 'utf8')
  t.is(second.split('## Garbage').length, 2)
  t.true(second.includes('7 Scavenge'))
  t.true(second.endsWith('By hand.\n'))
})

const wordsOf = (text) =>
  text.replaceAll(/[\d.,]+|–|\*\*missed\*\*|not decided|reached/g, '#').replaceAll(/-+:?/g, '-')

test('a new run changes figures, and no prose', async (t) => {
  const page = join(temporary(t), 'performance.md')
  writeFileSync(page, '# Performance\n\n## More\n\nBy hand.\n')
  await writeReport(page, madeUpResults(1), null)
  const first = readFileSync(page, 'utf8')
  await writeReport(page, madeUpResults(1.7), null)
  const second = readFileSync(page, 'utf8')
  t.not(first, second)
  t.is(wordsOf(first), wordsOf(second))
})

test('the page of a whole run is one that a person reads, and every figure is in a data file', async (t) => {
  const page = join(temporary(t), 'performance.md')
  writeFileSync(page, '# Performance\n\n## More\n\nBy hand.\n')
  const results = madeUpResults(1)
  await writeReport(page, results, async () => '<svg/>')
  const text = readFileSync(page, 'utf8')
  t.true(text.split('\n').length <= 250, `${text.split('\n').length} lines`)
  const folder = join(page, '..', 'performance')
  const files = readdirSync(folder).filter((name) => name.endsWith('.csv'))
  t.deepEqual(files.map((name) => name.slice(0, -4)).sort(), [
    'against_round_trip',
    'against_throughput',
    'churn',
    'fan_out',
    'garbage',
    'growth',
    'long',
    'most_peers',
    'ordinary',
    'ratios',
    'round_trip',
    'slow_consumers',
    'throughput'
  ])
  for (const name of files) t.true(text.includes(`(performance/${name})`), name)
  const rowsOf = (name) => readDataFile(folder, name).length
  const data = (name) => results.get(name).data
  for (const [name, section] of [
    ['throughput', 'throughput'],
    ['fan_out', 'fan-out'],
    ['slow_consumers', 'slow-consumers'],
    ['growth', 'growth'],
    ['most_peers', 'most-peers'],
    ['churn', 'churn'],
    ['long', 'long'],
    ['ordinary', 'ordinary']
  ])
    t.is(rowsOf(name), data(section).rows.length, name)
  const cells = Object.values(data('round-trip').programs).flatMap((program) => Object.keys(program))
  t.is(rowsOf('round_trip'), cells.length)
  t.is(rowsOf('garbage'), 2 * Object.keys(data('garbage').programs).length)
})

test('a program that failed is one line of the page, and the published page is one that a person reads', (t) => {
  const message = `ended with 1: ${'x'.repeat(1_000)}\n    at a stack\n    at another line`
  const [line, ...more] = failed({ bun: message })
  t.deepEqual(more, [])
  t.regex(line, /^- bun failed: ended with 1: x{100,200} …$/)
  const page = readFileSync(new URL('../../docs/performance.md', import.meta.url), 'utf8')
  t.true(page.split('\n').length <= 250)
})

test('a data file keeps its cells, commas and quotes too, and goes when its section does', (t) => {
  const folder = join(temporary(t), 'performance')
  const files = new DataFiles(folder)
  files.add('odd', [
    { name: 'a write, and "another"', value: rounded(1 / 3) },
    { name: 'none', value: rounded(undefined) }
  ])
  files.write()
  t.deepEqual(readDataFile(folder, 'odd'), [
    { name: 'a write, and "another"', value: '0.3333' },
    { name: 'none', value: '' }
  ])
  t.is(rounded(123_456.7), 123_457)
  new DataFiles(folder).write()
  t.deepEqual(readdirSync(folder), [])
})

test("the README's figures are those of the data files, and its text stays", async (t) => {
  const published = fileURLToPath(new URL('../../docs/performance', import.meta.url))
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  t.true(readme.includes(readmeTable(published)), 'npm run perf -- --report writes them')

  const folder = temporary(t)
  mkdirSync(join(folder, 'performance'))
  await writeReport(join(folder, 'performance.md'), madeUpResults(1), null)
  writeFileSync(join(folder, 'README.md'), readme)
  writeReadme(join(folder, 'README.md'), join(folder, 'performance'))
  const written = readFileSync(join(folder, 'README.md'), 'utf8')
  t.not(written, readme)
  t.is(wordsOf(written), wordsOf(readme))
})
