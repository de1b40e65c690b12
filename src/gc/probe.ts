// GcProbe: what a stretch of a program costs the garbage collector.
import {
  createHistogram,
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance
} from 'node:perf_hooks'
import { misuse } from '../errors.js'
import { describe } from '../options/given.js'
import { AllocationSampler } from './allocation_sampler.js'
import { holdSweeping, letSweepingGo } from './buffer_sweeping.js'
import { collectYoung } from './collect_young.js'
import { HeapMeter } from './heap_meter.js'
import { awaitMany, awaitOverheadBytes, callMany, warmCallMany } from './loops.js'
import {
  type GcMeasureOptions,
  type GcProbeOptions,
  type ResolvedProbeOptions,
  resolveMeasureOptions,
  resolveProbeOptions
} from './options.js'
import { type GcCollections, GcReport } from './report.js'

export type { GcMeasureOptions, GcProbeOptions } from './options.js'

/** V8's profilers keep what they saw in memory of their own until it is taken. */
const takeEveryMs = 10_000
/** What one iteration of Node's event loop allocates; the timer behind the loop's delay makes one each time. */
const loopIterationBytes = 56
/** Above, the count would no longer be a small integer, and a boxed one is garbage. */
const countLowMax = 2 ** 30

/** One measurement, from start to stop. */
class Run {
  readonly pauses = createHistogram()
  readonly counts: Omit<GcCollections, 'total'> = { minor: 0, major: 0, incrementalMarking: 0, other: 0 }
  pausedUs = 0
  maxUs = 0
  readonly meter = new HeapMeter((kind, pauseUs) => this.#count(kind, pauseUs))
  readonly sampler: AllocationSampler | undefined
  readonly loopDelay: IntervalHistogram | undefined
  readonly utilization: EventLoopUtilization
  readonly startMs: number
  readonly #timer: NodeJS.Timeout

  constructor(readonly options: ResolvedProbeOptions) {
    if (options.samplingBytes > 0) this.sampler = new AllocationSampler(options.samplingBytes)
    if (options.external) holdSweeping()
    if (options.loopResolutionMs > 0) {
      this.loopDelay = monitorEventLoopDelay({ resolution: options.loopResolutionMs })
      this.loopDelay.enable()
    }
    this.#timer = setInterval(() => this.take(), takeEveryMs).unref()
    this.utilization = performance.eventLoopUtilization()
    this.startMs = performance.now()
    collectYoung()
    this.meter.begin()
  }

  /** Nothing that happens in `take` itself is counted. */
  take<T>(work?: () => T): T | undefined {
    this.meter.end()
    this.sampler?.collect()
    const result = work?.()
    this.meter.begin()
    return result
  }

  end(): void {
    this.meter.end()
    clearInterval(this.#timer)
    this.sampler?.close()
    this.loopDelay?.disable()
    if (this.options.external) letSweepingGo()
  }

  #count(kind: string, pauseUs: number): void {
    if (kind === 'MarkSweepCompact' || kind === 'MarkCompact') this.counts.major++
    else if (kind === 'Scavenge' || kind.startsWith('Minor')) this.counts.minor++
    else if (kind === 'IncrementalMarking') this.counts.incrementalMarking++
    else this.counts.other++
    this.pausedUs += pauseUs
    this.maxUs = Math.max(this.maxUs, pauseUs)
    this.pauses.record(Math.max(1, Math.round(pauseUs * 1000)))
  }
}

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
    stopOverheadBytes()
    this.#countLow = 0
    this.#countHigh = 0
    this.#run = new Run(this.#options)
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

  /** What was found since the start; the probe goes on. Making the report is not counted. Throws `ZERIO_NOT_STARTED`. */
  report(): GcReport {
    const run = this.#running()
    return run.take(() => this.#report(run)) as GcReport
  }

  /** Ends the measurement. Throws `ZERIO_NOT_STARTED`. */
  stop(): GcReport {
    const run = this.#running()
    run.end()
    this.#run = undefined
    return this.#report(run)
  }

  /**
   * Calls `work(i)` `options.warmup` times, then measures `options.operations` calls of it. What it returns is kept for a moment,
   * so that V8 cannot leave it out. Throws what `work` throws, and `ZERIO_BAD_ARGUMENT` when it returns a promise.
   */
  static measure(work: (i: number) => unknown, options?: GcMeasureOptions): GcReport {
    const { operations, warmup, ...probeOptions } = resolveMeasureOptions(options)
    checkWork(work)
    warmCallMany()
    callMany(work, warmup)
    const probe = new GcProbe(probeOptions).start()
    try {
      callMany(work, operations)
      probe.operation(operations)
    } catch (error) {
      probe.stop()
      throw error
    }
    return probe.stop()
  }

  /** The same for a function that returns a promise: each call waits for the one before. What waiting allocates is subtracted. */
  static async measureAsync(
    work: (i: number) => PromiseLike<unknown>,
    options?: GcMeasureOptions
  ): Promise<GcReport> {
    const { operations, warmup, ...probeOptions } = resolveMeasureOptions(options)
    checkWork(work)
    const overheadBytes = (await awaitOverheadBytes()) * operations
    await awaitMany(work, warmup)
    const probe = new GcProbe(probeOptions).start()
    try {
      await awaitMany(work, operations)
      probe.operation(operations)
    } catch (error) {
      probe.stop()
      throw error
    }
    const run = probe.#running()
    run.end()
    probe.#run = undefined
    return probe.#report(run, overheadBytes)
  }

  #running(): Run {
    if (this.#run === undefined)
      throw misuse('ZERIO_NOT_STARTED', 'The probe is not started; call start() first.')
    return this.#run
  }

  #report(run: Run, moreOverheadBytes = 0): GcReport {
    const { options, meter, counts, pauses, loopDelay, sampler } = run
    const { operations } = this
    const elapsedMs = performance.now() - run.startMs
    const overheadBytes =
      stopOverheadBytes() + (loopDelay?.count ?? 0) * loopIterationBytes + moreOverheadBytes
    const heapBytes = Math.max(0, meter.heapBytes - overheadBytes)
    const perOperation = (bytes: number): number | null => (operations > 0 ? bytes / operations : null)
    const pauseUs = (percentile: number): number =>
      pauses.count > 0 ? Math.min(pauses.percentile(percentile) / 1000, run.maxUs) : 0
    // The histogram has the time between two ticks, of which the resolution is no delay.
    const delayMs = (ns: number): number =>
      loopDelay !== undefined && loopDelay.count > 0 ? Math.max(0, ns / 1e6 - options.loopResolutionMs) : 0
    const sampledBytes = sampler?.bytes ?? 0
    const histogram = createHistogram()
    if (pauses.count > 0) histogram.add(pauses)
    return new GcReport(
      {
        elapsedMs,
        operations,
        heapBytes,
        heapBytesPerOperation: perOperation(heapBytes),
        externalBytes: options.external ? meter.externalBytes : null,
        externalBytesPerOperation: options.external ? perOperation(meter.externalBytes) : null,
        collections: { total: counts.minor + counts.major, ...counts },
        pauses: {
          count: pauses.count,
          totalMs: run.pausedUs / 1000,
          share: run.pausedUs / 1000 / elapsedMs,
          meanUs: pauses.count > 0 ? run.pausedUs / pauses.count : 0,
          p50Us: pauseUs(50),
          p90Us: pauseUs(90),
          p99Us: pauseUs(99),
          p999Us: pauseUs(99.9),
          maxUs: run.maxUs
        },
        eventLoop: {
          samples: loopDelay?.count ?? 0,
          meanMs: delayMs(loopDelay?.mean ?? 0),
          p50Ms: delayMs(loopDelay?.percentile(50) ?? 0),
          p99Ms: delayMs(loopDelay?.percentile(99) ?? 0),
          maxMs: delayMs(loopDelay?.max ?? 0),
          utilization: performance.eventLoopUtilization(run.utilization).utilization
        },
        topAllocators: (sampler?.top(options.topAllocators) ?? []).map((allocator) => ({
          ...allocator,
          share: allocator.bytes / sampledBytes
        })),
        overheadBytes
      },
      histogram
    )
  }
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
