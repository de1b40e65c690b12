// Several functions beside each other: their time and their garbage, measured in turns, with a verdict for each difference.
import { misuse } from '../errors.js'
import { describe, isObject } from '../options/given.js'
import { isPromise } from './loops.js'
import { type GcCompareOptions, type ResolvedMeasureOptions, resolveCompareOptions } from './options.js'
import type { GcReport } from './report.js'
import { differenceOf, median } from './statistics.js'
import { alignedTable, bytesText, durationText } from './text.js'

/** Whether a function needs `more` or `less` than the first one; `equal` when no difference was found. */
export type GcVerdict = 'more' | 'less' | 'equal'

/** One of the functions: medians of its rounds, for one operation. */
export interface GcCompared {
  /** Its name among the functions. */
  name: string
  /** Time, in nanoseconds. */
  nsPerOperation: number
  /** Bytes on the V8 heap. */
  heapBytesPerOperation: number
  /** Bytes outside of it. */
  externalBytesPerOperation: number
  /** What was allocated in the young generation by 1,000 operations, in bytes. */
  youngBytesPer1000: number
  /** What was allocated in the old generation by 1,000 operations, in bytes. */
  oldBytesPer1000: number
  /** What collections moved from the young to the old generation, for 1,000 operations, in bytes. */
  promotedBytesPer1000: number
  /** Collections for 1,000 operations. */
  collectionsPer1000: number
  /** Its time beside that of the first function. */
  time: GcVerdict
  /** Its bytes, on the heap and outside of it, beside those of the first function. */
  bytes: GcVerdict
  /** The report of each round. */
  reports: GcReport[]
}

type Work = (i: number) => unknown
/** Measures a function once. */
export type MeasureOnce = (work: Work, options: ResolvedMeasureOptions, isAsync: boolean) => Promise<GcReport>

/** A difference of less than this is V8's own. */
const leastBytes = 1

/** What `GcProbe.compare` found. `String(comparison)` is a table; `JSON.stringify(comparison)` has the figures. */
export class GcComparison {
  /** The functions, in the order in which they were given. */
  readonly functions: GcCompared[]

  /** @internal */
  constructor(functions: GcCompared[]) {
    this.functions = functions
  }

  /** The table. */
  toString(): string {
    const [first] = this.functions
    const head = [
      '',
      'time',
      'to first',
      'heap',
      'external',
      'to first',
      'young/1,000',
      'old/1,000',
      'promoted/1,000',
      'collections/1,000'
    ]
    const rows = this.functions.map((one) => [
      one.name,
      durationText(one.nsPerOperation / 1e6),
      one === first ? '' : timesText(one.time, one.nsPerOperation / first.nsPerOperation),
      bytesText(one.heapBytesPerOperation),
      bytesText(one.externalBytesPerOperation),
      one === first ? '' : one.bytes,
      bytesText(one.youngBytesPer1000),
      bytesText(one.oldBytesPer1000),
      bytesText(one.promotedBytesPer1000),
      one.collectionsPer1000.toFixed(3)
    ])
    return alignedTable([head, ...rows]).join('\n')
  }
}

function timesText(verdict: GcVerdict, ratio: number): string {
  return verdict === 'equal' ? 'equal' : `${ratio.toFixed(2)} x`
}

/** Measures all of `works` in turns. */
export async function compareWorks(
  works: Readonly<Record<string, Work>>,
  given: GcCompareOptions | undefined,
  measureOnce: MeasureOnce
): Promise<GcComparison> {
  const { rounds, timeLimitMs, ...rest } = resolveCompareOptions(given)
  checkWorks(works)
  const options: ResolvedMeasureOptions = {
    ...rest,
    samplingBytes: 0,
    topAllocators: 0,
    loopResolutionMs: 0,
    timeLimitMs: Math.max(1, Math.floor(timeLimitMs / rounds))
  }
  const runs = []
  for (const [name, work] of Object.entries(works)) {
    const first = work(0)
    const isAsync = isPromise(first)
    if (isAsync) await first
    runs.push({ name, work, isAsync, reports: [] as GcReport[] })
  }
  for (let round = 0; round < rounds; round++) {
    // What a function leaves behind costs the next one, which must not always be the same.
    const order = round % 2 === 0 ? runs : [...runs].reverse()
    for (const { work, isAsync, reports } of order) reports.push(await measureOnce(work, options, isAsync))
  }
  const [{ reports: reference }] = runs
  return new GcComparison(runs.map(({ name, reports }) => comparedOf(name, reports, reference)))
}

function checkWorks(works: unknown): void {
  if (!isObject(works) || Object.keys(works).length === 0) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `The works to compare must be an object of functions, not ${describe(works)}.`
    )
  }
  for (const [name, work] of Object.entries(works)) {
    if (typeof work !== 'function') {
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `The work "${name}" to compare must be a function, not ${describe(work)}.`
      )
    }
  }
}

const timeOf = ({ nsPerOperation }: GcReport): number => nsPerOperation ?? 0
const bytesOf = ({ heapBytes, externalBytes, operations }: GcReport): number =>
  (heapBytes + (externalBytes ?? 0)) / operations

function comparedOf(name: string, reports: GcReport[], reference: readonly GcReport[]): GcCompared {
  const medianOf = (of: (report: GcReport) => number): number => median(reports.map(of))
  const per1000 = (of: (report: GcReport) => number): number =>
    medianOf((report) => (of(report) * 1000) / report.operations)
  // So many rounds are enough for a verdict.
  const verdict = (of: (report: GcReport) => number, least: number): GcVerdict =>
    differenceOf(reference.map(of), reports.map(of), least).verdict as GcVerdict
  return {
    name,
    nsPerOperation: medianOf(timeOf),
    heapBytesPerOperation: medianOf(({ heapBytesPerOperation }) => heapBytesPerOperation ?? 0),
    externalBytesPerOperation: medianOf(({ externalBytesPerOperation }) => externalBytesPerOperation ?? 0),
    youngBytesPer1000: per1000(({ generations }) => generations.youngBytes),
    oldBytesPer1000: per1000(({ generations }) => generations.oldBytes),
    promotedBytesPer1000: per1000(({ generations }) => generations.promotedBytes),
    collectionsPer1000: per1000(({ collections }) => collections.total),
    time: verdict(timeOf, 0),
    bytes: verdict(bytesOf, leastBytes),
    reports
  }
}
