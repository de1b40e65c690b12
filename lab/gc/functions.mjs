// What functions of all kinds allocate: what GcProbe.measure finds, beside a method that shares nothing with it.
//
// That method makes so few calls that V8 does not collect meanwhile, and takes the difference of process.memoryUsage(). Each measurement
// has a process of its own.
//
// node lab/gc/functions.mjs [--node 22] [--only NAME]; the exit code is 1 when a function differs by more than 1 byte and 1 %.
import { spawnSync } from 'node:child_process'
import { writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { nodeOf } from '../host/nodes.mjs'

const file = fileURLToPath(import.meta.url)
const { values } = parseArgs({
  options: {
    node: { type: 'string' },
    only: { type: 'string' },
    child: { type: 'string' },
    method: { type: 'string' },
    calls: { type: 'string' }
  }
})
const node = values.node === undefined ? process.execPath : nodeOf(Number(values.node))
const flags = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=64']
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

/** State that the functions write. */
class Point {
  constructor(x, y) {
    this.x = x
    this.y = y
  }
  get length() {
    return Math.hypot(this.x, this.y)
  }
}
class Secret {
  #value
  constructor(value) {
    this.#value = value
  }
  read() {
    return this.#value
  }
}
const long = 'x'.repeat(1000)
const wide = 'ü€'.repeat(500)
const json = '{"bid":1.25,"ask":1.5,"name":"EURUSD","levels":[1,2,3]}'
const record = JSON.parse(json)
const list = Array.from({ length: 50 }, (_, i) => i)
const map = new Map(list.map((i) => [i, i]))
const settled = Promise.resolve(1)
let boxed = 0.5
// The loops around a function are different ones.
Error.stackTraceLimit = 1
let small = 0
const sums = new Float64Array(1)
function* three() {
  yield 1
  yield 2
}

const functions = {
  nothing: () => {},
  'small integer': (i) => {
    small = (small + i) & 0xffff
  },
  'double in a typed array': (i) => {
    sums[0] += i * 0.5
  },
  'boxed double': (i) => {
    boxed = i * 0.5 + 0.25
    return boxed === 0
  },
  object: (i) => ({ x: i }),
  'object of six': (i) => ({ a: i, b: i, c: i, d: i, e: i, f: i }),
  'object with a double': (i) => ({ x: i + 0.5 }),
  'nested objects': (i) => ({ a: { b: { c: i } } }),
  'instance of a class': (i) => new Point(i, i),
  'private field': (i) => new Secret(i),
  'spread object': () => ({ ...record }),
  'object with computed keys': (i) => ({ [`k${i & 7}`]: i }),
  array: (i) => [i, i, i],
  'empty array': () => [],
  'array of doubles': (i) => [i + 0.5, i + 0.25],
  'array of a hundred': () => new Array(100).fill(0),
  'array that grows': (i) => {
    const grown = []
    for (let k = 0; k < 20; k++) grown.push(i)
    return grown
  },
  map: () => list.map((i) => i + 1),
  'filter and slice': () => list.filter((i) => i % 2 === 0).slice(2),
  'spread array': () => [...list],
  closure: (i) => () => i,
  'bound function': () => Math.max.bind(null, 1),
  'short string': (i) => String.fromCharCode(97 + (i % 26), 98, 99),
  'joined string': (i) => `${long}${i & 1}`,
  'flat string': () => Buffer.from(long).toString('latin1'),
  'string of two bytes': () => Buffer.from(wide).toString('utf8'),
  'sliced string': (i) => long.slice(i & 7, 100),
  'number as text': (i) => (i + 0.5).toFixed(3),
  'split string': () => 'a,b,c,d'.split(','),
  'new Map': () => new Map(),
  'Map with entries': (i) => new Map([[i, i]]),
  'new Set': () => new Set(list),
  'walk through a Map': () => {
    let sum = 0
    for (const [key, value] of map) sum += key + value
    return sum
  },
  generator: () => [...three()].length,
  promise: () => new Promise(() => {}),
  'resolved promise': () => Promise.resolve(1),
  'async function': async () => {},
  'async function that waits': async () => {
    await settled
  },
  'Buffer of 16': () => Buffer.alloc(16),
  'Buffer from the pool': () => Buffer.allocUnsafe(100),
  'Buffer of 4096': () => Buffer.alloc(4096),
  'Buffer of 100,000': () => Buffer.alloc(100_000),
  ArrayBuffer: () => new ArrayBuffer(1024),
  Float64Array: () => new Float64Array(10),
  subarray: () => sums.subarray(0, 1),
  DataView: () => new DataView(sums.buffer),
  BigInt: (i) => BigInt(i) * 1_000_000_007n,
  'long BigInt': (i) => BigInt((i & 63) + 1000) ** 40n,
  'regular expression': () => /(\d+)-(\d+)/.exec('10-20'),
  'replace by a pattern': () => 'a-b-c'.replace(/-/g, '+'),
  error: () => new Error('known'),
  'JSON.parse': () => JSON.parse(json),
  'JSON.stringify': () => JSON.stringify(record),
  Date: () => new Date(0),
  URL: () => new URL('http://localhost/a?b=c')
}

/** V8's own allocations must not weigh: so many calls, if their bytes fit the young generation. */
const callsMax = 200_000
const bytesMax = 20e6
const rounds = 9

const isAwaited = (name) => name.startsWith('async')

/** Prints what each round found, between lines that say where V8's trace of it begins and ends. */
async function independent(name, calls) {
  const kept = { result: undefined }
  const call = async (work, count) => {
    if (isAwaited(name)) for (let i = 0; i < count; i++) await work(i)
    else callAll(work, count)
    kept.result = undefined
  }
  const callAll = (work, count) => {
    for (let i = 0; i < count; i++) kept.result = work(i)
  }
  const measure = async (what, work, count) => {
    for (let i = 0; i < 10; i++) await call(work, 10_000)
    for (let round = 0; round < rounds; round++) {
      gc({ type: 'minor' })
      gc({ type: 'minor' })
      writeSync(1, `begin ${what}\n`)
      const before = process.memoryUsage()
      await call(work, count)
      const after = process.memoryUsage()
      const [heap, external] = [after.heapUsed - before.heapUsed, after.external - before.external]
      writeSync(1, `end ${heap} ${external}\n`)
    }
  }
  await measure('all', functions[name], calls)
  await measure('no calls', functions[name], 0)
  if (isAwaited(name)) await measure('waiting', () => settled, calls)
}

/** The medians of rounds without a collection; undefined when there is none. */
function cleanRounds(printed, what) {
  const found = { heap: [], external: [] }
  for (const [, inner, heap, external] of printed.matchAll(
    new RegExp(`^begin ${what}\\n([^]*?)^end (\\S+) (\\S+)$`, 'gm')
  )) {
    if (inner.includes(' ms: ')) continue
    found.heap.push(Number(heap))
    found.external.push(Number(external))
  }
  return found.heap.length === 0 ? undefined : { heap: median(found.heap), external: median(found.external) }
}

/** `bytes` is about what a call allocates. */
function known(name, bytes) {
  for (let calls = Math.min(callsMax, Math.ceil(bytesMax / (bytes + 1))); calls > 10; calls >>= 1) {
    const printed = inProcess(name, 'independent', ['--calls', String(calls)])
    const all = cleanRounds(printed, 'all')
    const rest = cleanRounds(printed, isAwaited(name) ? 'waiting' : 'no calls')
    if (all !== undefined && rest !== undefined) {
      return { heap: (all.heap - rest.heap) / calls, external: (all.external - rest.external) / calls }
    }
  }
  throw new Error(`${name}: V8 collects, however few calls there are`)
}

async function probed(name) {
  const { GcProbe } = await import('../../dist/gc/index.mjs')
  const work = functions[name]
  const options = { samplingBytes: 0, loopResolutionMs: 0, operations: 100_000, timeLimitMs: 3000 }
  const reports = []
  for (let round = 0; round < 3; round++) {
    const report = isAwaited(name)
      ? await GcProbe.measureAsync(work, options)
      : name.includes('promise')
        ? GcProbe.measure((i) => [work(i)], options)
        : GcProbe.measure(work, options)
    reports.push(report)
  }
  // A promise is in an array, so that the probe does not wait for it.
  const wrapper = name.includes('promise') ? 56 : 0
  return {
    heap: median(reports.map(({ heapBytesPerOperation }) => heapBytesPerOperation)) - wrapper,
    external: median(reports.map(({ externalBytesPerOperation }) => externalBytesPerOperation))
  }
}

function inProcess(name, method, more = []) {
  const trace = method === 'probe' ? [] : ['--trace-gc']
  const args = [...flags, ...trace, file, '--child', name, '--method', method, ...more]
  const { status, stdout, stderr } = spawnSync(node, args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) throw new Error(`${name}: ${stderr}`)
  return stdout
}

if (values.child !== undefined) {
  if (values.method === 'independent') await independent(values.child, Number(values.calls))
  else console.log(JSON.stringify(await probed(values.child)))
} else {
  const names = Object.keys(functions).filter((name) => values.only === undefined || name === values.only)
  let failed = 0
  for (const name of names) {
    let found
    let right
    let isRight = false
    // V8 optimizes a function in nearly every process, not in each.
    for (let attempt = 0; attempt < 3 && !isRight; attempt++) {
      found = JSON.parse(inProcess(name, 'probe'))
      right = known(name, found.heap + found.external)
      const isNear = (kind) => Math.abs(found[kind] - right[kind]) <= Math.max(1, right[kind] * 0.01)
      isRight = isNear('heap') && isNear('external')
    }
    if (!isRight) failed++
    const cells = ['heap', 'external'].map(
      (kind) => `${kind} ${found[kind].toFixed(2).padStart(9)} of ${right[kind].toFixed(2).padStart(9)}`
    )
    console.log(`${isRight ? 'ok    ' : 'FAILED'} ${name.padEnd(26)} ${cells.join('   ')}`)
  }
  console.log(`${names.length - failed} of ${names.length} functions are within 1 byte or 1 %`)
  process.exit(failed === 0 ? 0 : 1)
}
