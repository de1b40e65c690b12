// What one process measures: messages, round trips, garbage; over the last second and over the whole window.

import { GarbageMeter } from './garbage.js'
import { Histogram } from './internals.js'
import type { Measured } from './ipc.js'

export const Sent = 0
export const Received = 1

interface Period {
  startMs: number
  sent: number
  received: number
  garbageBytes: number
  collections: number
  roundTrips: Histogram
}

export class Meter {
  /** Messages sent and received since the process started; handlers add to it. Doubles, as int32 may overflow. */
  readonly counts = new Float64Array(2)
  /** Round trips of the current second, in nanoseconds. */
  readonly roundTrips = new Histogram()
  private readonly garbage = new GarbageMeter()
  private readonly second: Period = emptyPeriod()
  private readonly window: Period = emptyPeriod()
  private windowState: 'before' | 'open' | 'closed' = 'before'
  private windowResult: Measured | null = null

  constructor() {
    this.start(this.second)
  }

  beginWindow(): void {
    this.garbage.pause()
    this.rollSecond()
    this.window.roundTrips.clear()
    this.start(this.window)
    this.windowState = 'open'
    this.garbage.resume()
  }

  endWindow(): void {
    if (this.windowState === 'open') this.report(() => {})
    this.windowState = 'closed'
  }

  /** Measures the second that ends now. Nothing that `deliver` allocates is counted. */
  report(deliver: (second: Measured, window: Measured | null) => void): void {
    this.garbage.pause()
    const second = this.measure(this.second, this.roundTrips)
    this.rollSecond()
    if (this.windowState === 'open') this.windowResult = this.measure(this.window, this.window.roundTrips)
    deliver(second, this.windowResult)
    this.garbage.resume()
  }

  /** How much of the current second has passed. */
  get secondMs(): number {
    return performance.now() - this.second.startMs
  }

  get result(): Measured | null {
    return this.windowResult
  }

  private rollSecond(): void {
    this.window.roundTrips.add(this.roundTrips)
    this.roundTrips.clear()
    this.start(this.second)
  }

  private start(period: Period): void {
    period.startMs = performance.now()
    period.sent = this.counts[Sent]
    period.received = this.counts[Received]
    period.garbageBytes = this.garbage.bytes
    period.collections = this.garbage.collections
  }

  private measure(since: Period, roundTrips: Histogram): Measured {
    return {
      elapsedMs: performance.now() - since.startMs,
      sent: this.counts[Sent] - since.sent,
      received: this.counts[Received] - since.received,
      garbageBytes: this.garbage.bytes - since.garbageBytes,
      collections: this.garbage.collections - since.collections,
      roundTrips: roundTrips.count,
      roundTripNs: {
        p50: roundTrips.quantile(0.5),
        p99: roundTrips.quantile(0.99),
        p999: roundTrips.quantile(0.999),
        max: roundTrips.max
      }
    }
  }
}

function emptyPeriod(): Period {
  return { startMs: 0, sent: 0, received: 0, garbageBytes: 0, collections: 0, roundTrips: new Histogram() }
}
