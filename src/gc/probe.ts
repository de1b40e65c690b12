// GcProbe: what a stretch of a program costs the garbage collector.
import { misuse } from '../errors.js'
import { describe } from '../options/given.js'
import { collectYoung } from './collect_young.js'
import { compareWorks, type GcComparison } from './comparing.js'
import { awaitMany, awaitOverheadBytes, callMany, warmCallMany } from './loops.js'
import { Measuring } from './measuring.js'
import {
  type GcCompareOptions,
  type GcMeasureOptions,
  type GcProbeOptions,
  type ResolvedMeasureOptions,
  type ResolvedProbeOptions,
  resolveMeasureOptions,
  resolveProbeOptions
} from './options.js'
import type { GcReport } from './report.js'
import { Run } from './run.js'

export type { GcCompareOptions, GcMeasureOptions, GcProbeOptions } from './options.js'

/** Above, the count would no longer be a small integer, and a boxed one is garbage. */
const countLowMax = 2 ** 30

/**
 * Measures what code costs the garbage collector: bytes allocated per operation, collections and their pauses, the event loop's
 * delay, and who allocates. The code need not use zerio.
 *
 * `start()` and `stop()` go around live code, which calls `operation()` for each of its operations; {@link GcProbe.measure} and
 * {@link GcProbe.measureAsync} call a function many times. One probe measures one thread: its own.
 */
export class GcProbe {
  readonly #options: ResolvedProbeOptions
  #run: Run | undefined
  #countLow = 0
  #countHigh = 0

  /** Throws `ZERIO_BAD_OPTION`. */
  constructor(options?: GcProbeOptions) {
    this.#options = resolveProbeOptions(options)
  }

  /** Whether it measures now. */
  get isRunning(): boolean {
    return this.#run !== undefined
  }

  /** Operations counted since the last start. */
  get operations(): number {
    return this.#countHigh * countLowMax + this.#countLow
  }

  /** Begins to measure, from zero. Throws `ZERIO_ALREADY_STARTED`. */
  start(): this {
    if (this.#run !== undefined)
      throw misuse('ZERIO_ALREADY_STARTED', 'The probe is started already; call stop() first.')
    this.#begin()
    return this
  }

  /** Counts one operation, or `count` of them: an integer from 0 to 2^53 - 1. Allocates nothing. Throws `ZERIO_BAD_ARGUMENT`. */
  operation(count = 1): void {
    if (!Number.isSafeInteger(count) || count < 0)
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `The count of operations must be an integer from 0 to 2^53 - 1, not ${describe(count)}.`
      )
    const low = this.#countLow + count
    if (low < countLowMax) {
      this.#countLow = low
    } else {
      this.#countLow = (low % countLowMax) | 0
      this.#countHigh += Math.floor(low / countLowMax)
    }
  }

  /**
   * What was found since the start; the probe goes on. Making the report is not counted. It names no allocators, because V8 would
   * have to collect the whole heap for them: `stop()` does. Throws `ZERIO_NOT_STARTED`.
   */
  report(): GcReport {
    const run = this.#running()
    return run.take(() => run.report(this.operations, stopOverheadBytes())) as GcReport
  }

  /** Ends the measurement. Throws `ZERIO_NOT_STARTED`. */
  stop(): GcReport {
    return this.#stop(0, undefined)
  }

  /**
   * Calls `work(i)` until V8 has compiled it, then measures `options.operations` calls of it, or as many as `options.timeLimitMs`
   * leaves room for. What it returns is kept for a moment, so that V8 cannot leave it out. Throws what `work` throws, and
   * `ZERIO_BAD_ARGUMENT` when it returns a promise.
   */
  static measure(work: (i: number) => unknown, options?: GcMeasureOptions): GcReport {
    const resolved = resolveMeasureOptions(options)
    checkWork(work)
    warmCallMany()
    const measuring = new Measuring(resolved)
    const { calls } = measuring
    for (const _ of measuring.warmup()) callMany(work, calls.from, calls.to)
    const probe = new GcProbe(probeOptionsOf(resolved))
    while (measuring.isRepeated) {
      const run = probe.#begin()
      try {
        for (const _ of measuring.measurement(() => run.takenBytes())) callMany(work, calls.from, calls.to)
      } catch (error) {
        probe.stop()
        throw error
      }
      if (measuring.isRepeated) probe.stop()
    }
    return probe.#stopMeasuring(measuring, 0)
  }

  /** The same for a function that returns a promise: each call waits for the one before. What waiting allocates is subtracted. */
  static async measureAsync(
    work: (i: number) => PromiseLike<unknown>,
    options?: GcMeasureOptions
  ): Promise<GcReport> {
    const resolved = resolveMeasureOptions(options)
    checkWork(work)
    const bytesOfWaiting = await awaitOverheadBytes()
    const measuring = new Measuring(resolved)
    const { calls } = measuring
    for (const _ of measuring.warmup()) await awaitMany(work, calls.from, calls.to)
    const probe = new GcProbe(probeOptionsOf(resolved))
    while (measuring.isRepeated) {
      const run = probe.#begin()
      try {
        for (const _ of measuring.measurement(() => run.takenBytes()))
          await awaitMany(work, calls.from, calls.to)
      } catch (error) {
        probe.stop()
        throw error
      }
      if (measuring.isRepeated) probe.stop()
    }
    return probe.#stopMeasuring(measuring, bytesOfWaiting)
  }

  /**
   * Measures several functions in turns, `rounds` times each, and says which of them need more or less time and bytes than the first
   * one: differences of at least 1 % that chance alone would make once in a hundred times. Functions that return a promise are awaited.
   * Rejects with what a function throws, and with `ZERIO_BAD_ARGUMENT` or `ZERIO_BAD_OPTION`.
   */
  static async compare(
    works: Readonly<Record<string, (i: number) => unknown>>,
    options?: GcCompareOptions
  ): Promise<GcComparison> {
    return compareWorks(works, options, async (work, resolved, isAsync) =>
      isAsync
        ? GcProbe.measureAsync(work as (i: number) => PromiseLike<unknown>, resolved)
        : GcProbe.measure(work, resolved)
    )
  }

  #begin(): Run {
    stopOverheadBytes()
    this.#countLow = 0
    this.#countHigh = 0
    this.#run = new Run(this.#options, collectYoung)
    return this.#run
  }

  #running(): Run {
    if (this.#run === undefined)
      throw misuse('ZERIO_NOT_STARTED', 'The probe is not started; call start() first.')
    return this.#run
  }

  #stop(moreOverheadBytes: number, operationsMs: number | undefined): GcReport {
    const run = this.#running()
    run.end()
    this.#run = undefined
    return run.report(this.operations, stopOverheadBytes() + moreOverheadBytes, operationsMs)
  }

  #stopMeasuring({ operations, callsMs, notes }: Measuring, overheadBytesPerOperation: number): GcReport {
    this.operation(operations)
    this.#running().notes.push(...notes)
    return this.#stop(operations * overheadBytesPerOperation, callsMs)
  }
}

function probeOptionsOf(options: ResolvedMeasureOptions): GcProbeOptions {
  const { samplingBytes, topAllocators, external, loopResolutionMs } = options
  return { samplingBytes, topAllocators, external, loopResolutionMs }
}

function checkWork(work: unknown): void {
  if (typeof work !== 'function')
    throw misuse('ZERIO_BAD_ARGUMENT', `The work to measure must be a function, not ${typeof work}.`)
}

let measuredStopOverhead: number | undefined

/**
 * What an empty measurement finds, measured once. It also has V8 compile the meter before it counts: the first run of any function
 * allocates its code.
 */
function stopOverheadBytes(): number {
  if (measuredStopOverhead !== undefined) return measuredStopOverhead
  measuredStopOverhead = 0
  const options = resolveProbeOptions({ samplingBytes: 0 })
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 10; i++) {
    const probe = new GcProbe(options)
    probe.start()
    least = Math.min(least, probe.stop().heapBytes)
  }
  measuredStopOverhead = least
  return least
}
