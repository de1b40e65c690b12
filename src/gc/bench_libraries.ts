// The garbage of functions beside the times that benchmark libraries measure.
//
// The libraries are passed in and never loaded here, so that none of them has to be installed.
import { misuse } from '../errors.js'
import { isPromise } from './loops.js'
import { GcProbe } from './probe.js'
import type { GcReport } from './report.js'
import { alignedTable, bytesText } from './text.js'

type Work = () => unknown

/** What is used of a `Bench` of tinybench. */
export interface TinybenchLike {
  /** Adds a task. */
  add: (...args: never[]) => unknown
}

/** What is used of the module mitata. */
export interface MitataLike {
  /** Adds a benchmark. */
  bench: (...args: never[]) => unknown
  /** Runs all of them. */
  run: (...args: never[]) => Promise<unknown>
}

/** The garbage of the tasks of a `Bench`. */
export interface TinybenchGarbage {
  /** Measures each task, and resolves with a report for each name. Rejects with what a task throws. */
  reports(): Promise<Map<string, GcReport>>
  /** The same as rows for `console.table`: bytes for one operation. */
  table(): Promise<Record<string, string>[]>
}

/**
 * Remembers the tasks that are added to a `Bench` of tinybench from now on, so that their garbage can be measured after its run. Hooks of
 * tasks (`beforeEach` and so on) are not called then. Throws `ZERIO_BAD_ARGUMENT`.
 */
export function withTinybench(bench: TinybenchLike): TinybenchGarbage {
  checkFunction(bench?.add, 'a Bench of tinybench')
  const works = new Map<string, Work>()
  const add = bench.add as (this: unknown, name: string, work: Work, ...rest: unknown[]) => unknown
  bench.add = function (this: unknown, name: string, work: Work, ...rest: unknown[]) {
    works.set(name, work)
    return add.call(this, name, work, ...rest)
  } as (...args: never[]) => unknown
  const reports = async (): Promise<Map<string, GcReport>> => reportsOf(works)
  return {
    reports,
    table: async () =>
      [...(await reports())].map(([task, report]) => {
        const [heap, external, collections] = cellsOf(report)
        return { task, heap, external, 'collections/1,000': collections }
      })
  }
}

/**
 * The module mitata with a `bench` that remembers its functions, and a `run` that measures their garbage afterwards and prints a table of
 * it. Benchmarks that are generators have no line in it, nor have those that were added before. Throws `ZERIO_BAD_ARGUMENT`.
 */
export function withMitata<Module extends MitataLike>(mitata: Module): Module {
  checkFunction(mitata?.bench, 'the module mitata')
  const works = new Map<string, Work>()
  const bench = mitata.bench as (...args: unknown[]) => unknown
  const run = mitata.run as (...args: unknown[]) => Promise<unknown>
  const watched = (...args: unknown[]): unknown => {
    const work = args[args.length - 1] as Work & { constructor: { name: string } }
    const name = typeof args[0] === 'string' ? args[0] : work.name
    if (!work.constructor.name.includes('Generator')) works.set(name, work)
    return bench(...args)
  }
  const runAll = async (...args: unknown[]): Promise<unknown> => {
    const result = await run(...args)
    const rows = [...(await reportsOf(works))].map(([name, report]) => [name, ...cellsOf(report)])
    console.log(alignedTable([['garbage', 'heap', 'external', 'collections/1,000'], ...rows]).join('\n'))
    return result
  }
  return { ...mitata, bench: watched, run: runAll }
}

/**
 * The `bench` of Vitest 2 to 4, which measures the garbage of each function after its times and prints a line of it. Pass what you
 * import from `vitest`, and use the result in its place. Throws `ZERIO_BAD_ARGUMENT`.
 *
 * @typeParam Bench - the type of the function, which stays as it is
 */
export function withVitest<Bench extends (...args: never[]) => unknown>(bench: Bench): Bench {
  checkFunction(bench, 'the function bench of Vitest 2 to 4 (in later ones use GcProbe.compare)')
  return new Proxy(bench, {
    apply: (target, self, [name, work, options]: [unknown, Work, BenchOptions | undefined]) =>
      Reflect.apply(target as unknown as (...args: unknown[]) => unknown, self, [
        name,
        work,
        { ...options, teardown: teardownOf(name, work, options) }
      ]),
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key)
      return key === 'only' ? withVitest(value as Bench) : value
    }
  })
}

function checkFunction(given: unknown, expected: string): void {
  if (typeof given !== 'function')
    throw misuse('ZERIO_BAD_ARGUMENT', `zerio/gc/bench needs ${expected}; this is another object.`)
}

type Hook = (task: unknown, mode: 'warmup' | 'run') => unknown
interface BenchOptions {
  teardown?: Hook
}

function teardownOf(name: unknown, work: Work, options: BenchOptions | undefined): Hook {
  return async (task, mode) => {
    await options?.teardown?.(task, mode)
    if (mode !== 'run') return
    const [heap, external, collections] = cellsOf(await reportOf(work))
    console.log(
      `${name}: heap ${heap}, external ${external} per operation, collections/1,000: ${collections}`
    )
  }
}

async function reportsOf(works: ReadonlyMap<string, Work>): Promise<Map<string, GcReport>> {
  const reports = new Map<string, GcReport>()
  for (const [name, work] of works) reports.set(name, await reportOf(work))
  return reports
}

async function reportOf(work: Work): Promise<GcReport> {
  const options = { samplingBytes: 0, loopResolutionMs: 0, timeLimitMs: 1000 }
  const first = work()
  if (!isPromise(first)) return GcProbe.measure(work, options)
  await first
  return GcProbe.measureAsync(work as () => PromiseLike<unknown>, options)
}

function cellsOf(report: GcReport): [heap: string, external: string, collections: string] {
  const { heapBytesPerOperation, externalBytesPerOperation, collections, operations } = report
  return [
    bytesText(heapBytesPerOperation ?? 0),
    bytesText(externalBytesPerOperation ?? 0),
    ((collections.total * 1000) / operations).toFixed(3)
  ]
}
