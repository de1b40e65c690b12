// Functions beside each other: GcProbe.compare, its verdicts, and the wrappers for benchmark libraries.
import { createRequire } from 'node:module'
import test from 'ava'
import { GcProbe } from 'zerio/gc'
import * as bench from 'zerio/gc/bench'
import { runScript } from '../helpers/child.mjs'

const { differenceOf } = createRequire(import.meta.url)('../../dist/gc/statistics.js')

test('verdicts are those of the rank test of Mann and Whitney', (t) => {
  const low = [1, 2, 3, 4, 5]
  const high = [11, 12, 13, 14, 15]
  // All of one side above all of the other: 2 of the 252 ways to choose 5 of 10.
  t.like(differenceOf(low, high), { from: 3, to: 13, verdict: 'more' })
  t.true(Math.abs(differenceOf(low, high).p - 2 / 252) < 1e-12)
  t.is(differenceOf(high, low).verdict, 'less')
  // One exchange: the sums 15 and 16 have one way each.
  t.true(Math.abs(differenceOf([1, 2, 3, 4, 6], [5, 7, 8, 9, 10]).p - 4 / 252) < 1e-12)
  t.is(differenceOf([1, 2, 3, 4, 6], [5, 7, 8, 9, 10]).verdict, 'equal')
  // All the same, and nothing but ties.
  t.like(differenceOf([7, 7, 7, 7, 7], [7, 7, 7, 7, 7]), { p: 1, verdict: 'equal' })
  // A sure difference that is too small to matter.
  t.is(differenceOf([1000, 1001, 1002, 1003, 1004], [1005, 1006, 1007, 1008, 1009]).verdict, 'equal')
  t.is(differenceOf(low, high, 20).verdict, 'equal')
  t.is(differenceOf([1], [2]).verdict, 'unknown')
  t.is(differenceOf([1], [1]).verdict, 'equal')
  t.is(differenceOf([4, 1, 3, 2], [1, 2, 3, 4]).from, 2.5)
})

test.serial('compare finds who allocates more, and who takes longer', async (t) => {
  const { code, stdout, stderr } = await runScript(`
    import { GcProbe } from 'zerio/gc'
    const busy = () => { for (const end = performance.now() + 0.003; performance.now() < end;); }
    const comparison = await GcProbe.compare({
      object: (i) => ({ x: i }),
      array: (i) => [i, i, i, i, i, i, i, i],
      same: (i) => ({ x: i }),
      later: async (i) => [i, i, i, i, i, i, i, i],
      buffer: () => Buffer.alloc(5000),
      busy
    }, { operations: 20000, rounds: 7 })
    console.log(JSON.stringify({ ...comparison, text: String(comparison) }))
  `)
  t.is(stderr, '')
  t.is(code, 0)
  const { functions, text } = JSON.parse(stdout)
  t.deepEqual(
    functions.map(({ name }) => name),
    ['object', 'array', 'same', 'later', 'buffer', 'busy']
  )
  const [object, array, same, later, buffer, busy] = functions
  for (const { reports } of functions) t.is(reports.length, 7)
  t.true(Math.abs(object.heapBytesPerOperation - 32) < 4, String(object.heapBytesPerOperation))
  t.true(Math.abs(object.youngBytesPer1000 - 32_000) < 4000, String(object.youngBytesPer1000))
  t.is(object.bytes, 'equal')
  t.is(array.bytes, 'more')
  t.is(same.bytes, 'equal')
  t.is(later.bytes, 'more')
  t.is(buffer.bytes, 'more')
  t.true(Math.abs(buffer.externalBytesPerOperation - 5000) < 50, String(buffer.externalBytesPerOperation))
  t.is(busy.time, 'more')
  t.true(busy.nsPerOperation >= 3_000)
  const lines = text.split('\n')
  t.is(lines.length, 7)
  t.regex(
    lines[0],
    /^ +time +to first +heap +external +to first +young\/1,000 +old\/1,000 +promoted\/1,000 +coll/
  )
  t.regex(lines[2], /^array .* more /)
})

test.serial('misuse of compare is named', async (t) => {
  const codes = []
  for (const [works, options] of [
    [undefined],
    [{}],
    [{ a: 5 }],
    [{ a: () => 1 }, { rounds: 4 }],
    [{ a: () => 1 }, { samplingBytes: 0 }]
  ]) {
    await GcProbe.compare(works, options).catch(({ code }) => codes.push(code))
  }
  t.deepEqual(codes, [...Array(3).fill('ZERIO_BAD_ARGUMENT'), ...Array(2).fill('ZERIO_BAD_OPTION')])
  const failing = () => {
    throw new RangeError('mine')
  }
  await t.throwsAsync(GcProbe.compare({ failing }), { instanceOf: RangeError, message: 'mine' })
})

test.serial('benchmark libraries get their functions, and the garbage of each is measured', async (t) => {
  t.is(createRequire(import.meta.url)('zerio/gc/bench').withMitata, bench.withMitata)
  const { code, stdout, stderr } = await runScript(`
    import { withMitata, withTinybench, withVitest } from 'zerio/gc/bench'
    const seen = []
    const work = (i) => ({ x: i })
    const none = () => {}

    const tinybench = { add(name, fn, options) { seen.push([name, fn === work, options]); return this } }
    const garbage = withTinybench(tinybench)
    console.assert(tinybench.add('a', work, 1).add('b', none) === tinybench)
    const table = await garbage.table()

    const lines = []
    const print = console.log
    console.log = (text) => lines.push(text)
    const mitata = {
      bench: (...args) => { seen.push(args.map((one) => typeof one)); return 'chained' },
      run: async (...args) => ({ ran: args }),
      group: 'as it was'
    }
    const watched = withMitata(mitata)
    console.assert(watched.bench('c', work) === 'chained' && watched.group === 'as it was')
    watched.bench('generator', function* () { yield work })
    const result = await watched.run({ a: 1 })

    const hooks = []
    const vitest = Object.assign((name, fn, options) => hooks.push([name, fn === work, options]), {
      only: (name, fn, options) => hooks.push(['only', fn === work, options]),
      skip: 'skip'
    })
    const bench = withVitest(vitest)
    bench('d', work, { time: 5, teardown: () => seen.push('own teardown') })
    bench.only('e', work)
    console.assert(bench.skip === 'skip')
    await hooks[0][2].teardown({}, 'warmup')
    await hooks[0][2].teardown({}, 'run')
    await hooks[1][2].teardown({}, 'run')

    const codes = []
    for (const misuse of [() => withTinybench({}), () => withMitata(), () => withVitest(undefined)]) {
      try { misuse() } catch (error) { codes.push(error.code) }
    }
    console.log = print
    console.log(JSON.stringify({ seen, table, lines, result, hooks, codes }))
  `)
  t.is(stderr, '')
  t.is(code, 0)
  const { seen, table, lines, result, hooks, codes } = JSON.parse(stdout)
  t.deepEqual(seen, [
    ['a', true, 1],
    ['b', false, null],
    ['string', 'function'],
    ['string', 'function'],
    'own teardown',
    'own teardown'
  ])
  t.deepEqual(
    table.map(({ task, external }) => [task, external]),
    [
      ['a', '0 B'],
      ['b', '0 B']
    ]
  )
  t.regex(table[0].heap, /^3[12](\.\d)? B$/)
  t.deepEqual(result, { ran: [{ a: 1 }] })
  t.regex(lines[0], /^garbage +heap +external +collections\/1,000\nc +3[12](\.\d)? B +0 B +\d\.\d{3}$/)
  t.regex(lines[1], /^d: heap 3[12](\.\d)? B, external 0 B per operation, collections\/1,000: \d\.\d{3}$/)
  t.regex(lines[2], /^e: heap /)
  t.is(lines.length, 3)
  t.deepEqual(
    hooks.map(([name, isWork, { time }]) => [name, isWork, time]),
    [
      ['d', true, 5],
      ['only', true, undefined]
    ]
  )
  t.deepEqual(codes, Array(3).fill('ZERIO_BAD_ARGUMENT'))
})
