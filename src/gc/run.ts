// One measurement, from its start to its end, and the report of it.
import {
  createHistogram,
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance
} from 'node:perf_hooks'
import { AllocationSampler } from './allocation_sampler.js'
import { holdSweeping, letSweepingGo } from './buffer_sweeping.js'
import { HeapMeter, isMinor } from './heap_meter.js'
import type { ResolvedProbeOptions } from './options.js'
import { GcProfile } from './profile.js'
import { type GcCollections, GcReport, type GcReportData } from './report.js'

/** V8 keeps what it records of collections in memory of its own until it is taken. */
const takeEveryMs = 10_000
/**
 * Each profiler that is left behind makes every pause longer by some 8 microseconds (4 to 24): so many are left that it is a twentieth
 * of the mean pause, and a few at any rate, because what a program is killed in front of is lost. Behind them a take comes when the time has doubled.
 */
const endedProfilerUs = 8
const endedProfilersPart = 0.05
const endedProfilersMin = 2
const waitPart = 0.5
/** V8's records grow meanwhile, some 3 KB for each collection, and all of them are parsed at once. */
const waitMsMax = 60_000
const recordsMax = 5000
/** How much of the mean time between two minor collections a profiler lives that shall see no more than one: with 0.7, one in twenty saw two. */
const calmPart = 0.35
/** How much the last stretch says about that time: all that it can when it was as long as a second. */
const rateShareMin = 0.1
const rateMs = 1000
/** A turn that comes too late leaves a profiler behind. So many more than the free ones may be left before turns end. */
const turnProfilersFree = 4
/** A timer may fire a little before its time. */
const timerPart = 0.95
// Programs replace it.
const nowMs = performance.now.bind(performance)
/** What one iteration of Node's event loop allocates; the timer behind the loop's delay makes one each time. */
const loopIterationBytes = Number.parseInt(process.versions.node, 10) <= 24 ? 56 : 0

export class Run {
  readonly meter = new HeapMeter((kind, pauseUs) => this.#count(kind, pauseUs))
  readonly sampler: AllocationSampler | undefined
  /** Meanwhile nothing may end the run: what the inspector calls can interrupt even this. */
  isTaking = false
  /** What the report lacks, and why; each is a sentence. */
  readonly notes: string[] = []
  readonly #pauses = createHistogram()
  readonly #counts: Omit<GcCollections, 'total'> = { minor: 0, major: 0, incrementalMarking: 0, other: 0 }
  #pausedUs = 0
  #maxUs = 0
  readonly #loopDelay: IntervalHistogram | undefined
  readonly #utilization: EventLoopUtilization
  readonly #startMs: number
  #endMs: number | undefined
  #tookMs = 0
  /** When V8's records were taken last, by a turn as well. */
  #turnedMs = 0
  #stretches = 0
  /** Minor collections per millisecond, as an average in which the last second counts most. */
  #minorsPerMs = 0
  #loop: GcReport['eventLoop'] | undefined
  readonly #timer: NodeJS.Timeout | undefined

  /**
   * Starts the measurement. The run calls `prepare` just before it, and `onPause` for each pause, with its length in nanoseconds. A timer of the
   * run takes what V8 has recorded, unless `takesItself` is false: then the caller has to call `takeWhenDue` or `turn`.
   */
  constructor(
    readonly options: ResolvedProbeOptions,
    prepare?: () => void,
    private readonly onPause?: (ns: number) => void,
    takesItself = true
  ) {
    if (options.samplingBytes > 0) this.sampler = this.#openSampler(options.samplingBytes)
    if (options.external) holdSweeping()
    if (options.loopResolutionMs > 0) {
      this.#loopDelay = monitorEventLoopDelay({ resolution: options.loopResolutionMs })
      this.#loopDelay.enable()
    }
    if (takesItself) this.#timer = setInterval(() => this.takeWhenDue(takeEveryMs), takeEveryMs).unref()
    this.#utilization = performance.eventLoopUtilization()
    this.#startMs = nowMs()
    this.#tookMs = this.#turnedMs = this.#startMs
    prepare?.()
    this.meter.begin()
  }

  /** Takes what V8 has recorded so far; what `work` allocates is not counted. */
  take<T>(work?: () => T): T | undefined {
    this.#tookMs = nowMs()
    return this.#take(work)
  }

  /**
   * Takes what V8 has recorded when that is due, and calls `work` then. It is due when the last `take` was `everyMs` ago. When more profilers are
   * left behind than are free, it is due later: when half of the time so far has passed since, or a minute, or when V8 has some thousand records.
   * At least `freeAtLeast` profilers are free. Returns whether it was due.
   */
  takeWhenDue(everyMs: number, work?: () => void, freeAtLeast = 0): boolean {
    const now = nowMs()
    const isFree = this.meter.endedProfilers < Math.max(freeAtLeast, this.#endedProfilersFree)
    const mostMs = Math.min((now - this.#startMs) * waitPart, waitMsMax, recordsMax / this.#minorsPerMs)
    const waitMs = isFree ? everyMs : Math.max(everyMs, mostMs)
    if (now - this.#tookMs < waitMs * timerPart) return false
    this.take(work)
    return true
  }

  /**
   * Takes what V8 has recorded, and calls `work` when the last `take` was `everyMs` ago. A caller that turns every `calmMs` leaves hardly any
   * profiler behind, because few of them live through two minor collections. Returns whether it called `work`.
   */
  turn(everyMs: number, work: () => void): boolean {
    const isDue = nowMs() - this.#tookMs >= everyMs * timerPart
    if (isDue) this.take(work)
    else this.#take()
    return isDue
  }

  /** V8 probably makes no second minor collection within this time. Infinite when too many profilers are left behind for turns to help. */
  get calmMs(): number {
    const isInVain = this.meter.endedProfilers >= this.#endedProfilersFree + turnProfilersFree
    return isInVain ? Number.POSITIVE_INFINITY : calmPart / this.#minorsPerMs
  }

  /** Bytes on the heap so far. */
  takenBytes(): number {
    this.take()
    return this.meter.heapBytes
  }

  /** `linesMax` functions get the lines of their sources now; those of the others may be found later. */
  end(isProgramOver = false, linesMax = this.options.topAllocators): void {
    this.meter.end()
    this.#endMs = nowMs()
    this.#loop = this.#eventLoop()
    clearInterval(this.#timer)
    this.sampler?.close(linesMax, isProgramOver)
    if (this.sampler?.wasRobbed) {
      this.notes.push(
        "Something else in the thread stopped V8's sampler: its part of the samples is missing."
      )
    }
    this.#loopDelay?.disable()
    if (this.options.external) letSweepingGo()
  }

  /** `operationsMs` is the time of the operations, when it is not all of the measured time. */
  report(operations: number, moreOverheadBytes: number, operationsMs?: number): GcReport {
    const histogram = createHistogram()
    if (this.#pauses.count > 0) histogram.add(this.#pauses)
    const data = this.data(operations, moreOverheadBytes, operationsMs)
    return new GcReport(data, histogram, () => this.profile())
  }

  /** The stacks; `undefined` without samples, and before the end, because they come then. */
  profile(): GcProfile | undefined {
    const { sampler } = this
    return sampler === undefined || this.#endMs === undefined ? undefined : new GcProfile(sampler.profile())
  }

  /** The figures of a report. */
  data(operations: number, moreOverheadBytes: number, operationsMs?: number): GcReportData {
    const { options, meter, sampler } = this
    const elapsedMs = (this.#endMs ?? nowMs()) - this.#startMs
    const overheadBytes = (this.#loopDelay?.count ?? 0) * loopIterationBytes + moreOverheadBytes
    const heapBytes = Math.max(0, meter.heapBytes - overheadBytes)
    const perOperation = (all: number): number | null => (operations > 0 ? all / operations : null)
    const youngBytes = Math.min(heapBytes, Math.max(0, meter.youngBytes - overheadBytes))
    const sampledBytes = sampler?.bytes ?? 0
    return {
      elapsedMs,
      operations,
      nsPerOperation: perOperation((operationsMs ?? elapsedMs) * 1e6),
      heapBytes,
      heapBytesPerOperation: perOperation(heapBytes),
      externalBytes: options.external ? meter.externalBytes : null,
      externalBytesPerOperation: options.external ? perOperation(meter.externalBytes) : null,
      generations: { youngBytes, oldBytes: heapBytes - youngBytes, promotedBytes: meter.promotedBytes },
      collections: { total: this.#counts.minor + this.#counts.major, ...this.#counts },
      pauses: this.#pausesOf(elapsedMs),
      eventLoop: this.#loop ?? this.#eventLoop(),
      topAllocators: (sampler?.top(options.topAllocators) ?? []).map((allocator) => ({
        ...allocator,
        share: allocator.bytes / sampledBytes
      })),
      overheadBytes,
      notes: [...this.notes]
    }
  }

  #take<T>(work?: () => T): T | undefined {
    const before = this.meter.heapBytes
    const minors = this.#counts.minor
    this.isTaking = true
    try {
      return this.meter.between(() => {
        this.sampler?.spend(this.meter.heapBytes - before)
        this.#noteRate(this.#counts.minor - minors)
        return work?.()
      }, false)
    } finally {
      this.isTaking = false
    }
  }

  /** At the end of a stretch with so many minor collections. */
  #noteRate(minors: number): void {
    const now = nowMs()
    const stretchMs = Math.max(1, now - this.#turnedMs)
    const share = Math.max(rateShareMin, Math.min(1, stretchMs / rateMs), 1 / ++this.#stretches)
    this.#minorsPerMs += (minors / stretchMs - this.#minorsPerMs) * share
    this.#turnedMs = now
  }

  get #endedProfilersFree(): number {
    const { count } = this.#pauses
    const meanUs = count > 0 ? this.#pausedUs / count : 0
    return Math.max(endedProfilersMin, (meanUs * endedProfilersPart) / endedProfilerUs)
  }

  #openSampler(samplingBytes: number): AllocationSampler | undefined {
    try {
      return new AllocationSampler(samplingBytes)
    } catch (error) {
      this.notes.push(
        `Who allocates is not known, because there is no inspector: ${(error as Error).message}`
      )
      return undefined
    }
  }

  #pausesOf(elapsedMs: number): GcReport['pauses'] {
    const pauses = this.#pauses
    const pauseUs = (percentile: number): number =>
      pauses.count > 0 ? Math.min(pauses.percentile(percentile) / 1000, this.#maxUs) : 0
    return {
      count: pauses.count,
      totalMs: this.#pausedUs / 1000,
      share: this.#pausedUs / 1000 / elapsedMs,
      meanUs: pauses.count > 0 ? this.#pausedUs / pauses.count : 0,
      p50Us: pauseUs(50),
      p90Us: pauseUs(90),
      p99Us: pauseUs(99),
      p999Us: pauseUs(99.9),
      maxUs: this.#maxUs
    }
  }

  #eventLoop(): GcReport['eventLoop'] {
    const loopDelay = this.#loopDelay
    // The histogram has the time between two ticks, of which the resolution is no delay.
    const delayMs = (ns: number): number =>
      loopDelay !== undefined && loopDelay.count > 0
        ? Math.max(0, ns / 1e6 - this.options.loopResolutionMs)
        : 0
    return {
      samples: loopDelay?.count ?? 0,
      meanMs: delayMs(loopDelay?.mean ?? 0),
      p50Ms: delayMs(loopDelay?.percentile(50) ?? 0),
      p99Ms: delayMs(loopDelay?.percentile(99) ?? 0),
      maxMs: delayMs(loopDelay?.max ?? 0),
      utilization: performance.eventLoopUtilization(this.#utilization).utilization
    }
  }

  #count(kind: string, pauseUs: number): void {
    if (kind === 'MarkSweepCompact' || kind === 'MarkCompact') this.#counts.major++
    else if (isMinor(kind)) this.#counts.minor++
    else if (kind === 'IncrementalMarking') this.#counts.incrementalMarking++
    else this.#counts.other++
    const ns = Math.max(1, Math.round(pauseUs * 1000))
    this.#pausedUs += pauseUs
    this.#maxUs = Math.max(this.#maxUs, pauseUs)
    this.#pauses.record(ns)
    this.onPause?.(ns)
  }
}
