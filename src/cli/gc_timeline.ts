// How the memory of a thread changed over time: a list of points, which does not grow without end.
import type { GcReportData } from '../gc/report.js'
import type { GcPoint } from './gc_channel.js'

/** With more points, each two become one. */
const pointsMax = 600

interface Sizes {
  readonly heapSizeBytes: number
  readonly externalSizeBytes: number
}

export class Timeline {
  points: GcPoint[] = []
  #before: GcReportData | undefined
  #longestPauseMs = 0
  /** Points that are closer become one. */
  #spacingMs = 0

  pause(ms: number): void {
    this.#longestPauseMs = Math.max(this.#longestPauseMs, ms)
  }

  /** `report` is that of all time until now. */
  add(report: GcReportData, { heapSizeBytes, externalSizeBytes }: Sizes): void {
    const before = this.#before
    const point: GcPoint = {
      atMs: report.elapsedMs,
      heapSizeBytes,
      externalSizeBytes,
      allocatedBytes:
        report.heapBytes +
        (report.externalBytes ?? 0) -
        (before?.heapBytes ?? 0) -
        (before?.externalBytes ?? 0),
      minor: report.collections.minor - (before?.collections.minor ?? 0),
      major: report.collections.major - (before?.collections.major ?? 0),
      pausedMs: report.pauses.totalMs - (before?.pauses.totalMs ?? 0),
      longestPauseMs: this.#longestPauseMs
    }
    this.#before = report
    this.#longestPauseMs = 0
    const last = this.points.at(-1)
    if (last !== undefined && this.#beginningOfLastMs + this.#spacingMs > point.atMs) {
      this.points[this.points.length - 1] = both(last, point)
    } else this.points.push(point)
    if (this.points.length > pointsMax) this.#halve()
  }

  get #beginningOfLastMs(): number {
    return this.points.at(-2)?.atMs ?? 0
  }

  #halve(): void {
    const { points } = this
    this.points = points
      .filter((_, i) => i % 2 === 0)
      .map((point, i) => (points[2 * i + 1] === undefined ? point : both(point, points[2 * i + 1])))
    const last = this.points[this.points.length - 1]
    this.#spacingMs = last.atMs / this.points.length
  }
}

/** The time of two points that follow each other, as one. */
function both(first: GcPoint, second: GcPoint): GcPoint {
  return {
    ...second,
    allocatedBytes: first.allocatedBytes + second.allocatedBytes,
    minor: first.minor + second.minor,
    major: first.major + second.major,
    pausedMs: first.pausedMs + second.pausedMs,
    longestPauseMs: Math.max(first.longestPauseMs, second.longestPauseMs)
  }
}
