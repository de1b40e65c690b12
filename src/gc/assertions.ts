// Assertions for tests: a function must not allocate more than it may, in any test runner.
import { misuse, ZerioError } from '../errors.js'
import { describe } from '../options/given.js'
import { isPromise } from './loops.js'
import { type GcMeasureOptions, resolveMeasureOptions } from './options.js'
import { GcProbe } from './probe.js'
import type { GcReport } from './report.js'
import { alignedTable, bytesText, functionText, percentText, placeText } from './text.js'

/** What a function may allocate, and how it is measured. */
export interface GcExpectation extends GcMeasureOptions {
  /** Bytes per operation, on the heap and outside of it together; 0 to 2^53 - 1. */
  max: number
}

/** V8 allocates for itself now and then, which only adds: one measurement within the limit is enough. */
const attempts = 5
/** What V8 may allocate for itself in a measurement: per operation, and once. */
const toleranceBytes = 1
const toleranceBytesOnce = 4096
/** Functions that the message names. */
const namedMax = 3
/** For the measurement that names them. */
const samplingBytes = 512

/**
 * Measures `work(i)` and throws when it allocates more than `max` bytes per operation; returns the report otherwise. For a function that
 * returns a promise it returns a promise. The measurement is made up to five times, as long as it fails; `timeLimitMs` is for all of
 * them. One byte per operation and 4,096 bytes once are V8's own: with fewer operations than that, less can be seen.
 *
 * Throws `ZERIO_TOO_MUCH_GARBAGE` with a message that names the functions that allocate, `ZERIO_BAD_OPTION`, `ZERIO_BAD_ARGUMENT`, and
 * what `work` throws.
 */
export function expectBytesPerOperation(
  work: (i: number) => PromiseLike<unknown>,
  expectation: GcExpectation
): Promise<GcReport>
export function expectBytesPerOperation(work: (i: number) => unknown, expectation: GcExpectation): GcReport
export function expectBytesPerOperation(
  work: (i: number) => unknown,
  expectation: GcExpectation
): GcReport | Promise<GcReport> {
  const { max, ...given } = expectation ?? {}
  if (!(Number.isSafeInteger(max) ? max >= 0 : Number.isFinite(max) && max > 0 && max < 2 ** 53)) {
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "max" must be a number from 0 to 2^53 - 1, not ${describe(max)}.`
    )
  }
  const options = resolveMeasureOptions(given)
  if (typeof work !== 'function') {
    throw misuse('ZERIO_BAD_ARGUMENT', `The work to measure must be a function, not ${typeof work}.`)
  }
  const quiet = {
    ...options,
    samplingBytes: 0,
    loopResolutionMs: 0,
    timeLimitMs: Math.ceil(options.timeLimitMs / attempts)
  }
  const naming = { ...quiet, samplingBytes, topAllocators: namedMax }
  const first = work(0)
  if (isPromise(first)) {
    const measureAsync = work as (i: number) => PromiseLike<unknown>
    return (async () => {
      await first
      for (let attempt = 0; attempt < attempts; attempt++) {
        const report = await GcProbe.measureAsync(measureAsync, quiet)
        if (isWithin(report, max)) return report
      }
      throw tooMuch(work, max, await GcProbe.measureAsync(measureAsync, naming))
    })()
  }
  for (let attempt = 0; attempt < attempts; attempt++) {
    const report = GcProbe.measure(work, quiet)
    if (isWithin(report, max)) return report
  }
  throw tooMuch(work, max, GcProbe.measure(work, naming))
}

/** {@link expectBytesPerOperation} with a `max` of 0. */
export function assertNoGarbage(
  work: (i: number) => PromiseLike<unknown>,
  options?: GcMeasureOptions
): Promise<GcReport>
export function assertNoGarbage(work: (i: number) => unknown, options?: GcMeasureOptions): GcReport
export function assertNoGarbage(
  work: (i: number) => unknown,
  options?: GcMeasureOptions
): GcReport | Promise<GcReport> {
  return expectBytesPerOperation(work, { ...options, max: 0 })
}

const bytesOf = ({ heapBytes, externalBytes }: GcReport): number => heapBytes + (externalBytes ?? 0)

function isWithin(report: GcReport, max: number): boolean {
  return bytesOf(report) <= report.operations * (max + toleranceBytes) + toleranceBytesOnce
}

/** What allocates less is V8's own, or the measurement's. */
const isNamed = ({ share }: { share: number }): boolean => share >= 0.02

function tooMuch(work: { name: string }, max: number, report: GcReport): ZerioError {
  const found = bytesText(bytesOf(report) / report.operations)
  const name = work.name === '' ? 'The function' : `The function '${work.name}'`
  const rows = report.topAllocators
    .filter(isNamed)
    .map((allocator) => [`  ${percentText(allocator.share)}`, functionText(allocator), placeText(allocator)])
  const who = rows.length > 0 ? ['Of that, by:', ...alignedTable(rows)] : report.notes
  return new ZerioError(
    'ZERIO_TOO_MUCH_GARBAGE',
    [`${name} allocates ${found} per operation, and may allocate ${bytesText(max)}.`, ...who].join('\n')
  )
}
