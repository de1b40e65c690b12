// What the user of `zerio gc` sees while the program runs.
import type { GcReportData } from '../gc/report.js'
import { bytesText, countText, durationText, percentText } from '../gc/text.js'
import { BottomLines } from './bottom_lines.js'
import type { GcTotal } from './gc_total.js'

/** `total` holds all since the start, `before` what it was one view earlier. */
export interface View {
  update(before: GcTotal, total: GcTotal): void
  close(): void
}

export class NoView implements View {
  update(): void {}
  close(): void {}
}

export class PlainView implements View {
  update(before: GcTotal, total: GcTotal): void {
    process.stderr.write(`zerio gc  ${durationText(total.elapsedMs)}  ${secondText(before, total)}\n`)
  }
  close(): void {}
}

export class LiveView implements View {
  readonly #lines = new BottomLines(process.stderr, 4)

  /** `measureMs` is 0 for a measurement that ends with the program. */
  constructor(private readonly measureMs: number) {}

  update(before: GcTotal, total: GcTotal): void {
    const { elapsedMs, heapBytes, collections, pauses, eventLoop, parts } = total
    const whole = this.measureMs > 0 ? ` of ${durationText(this.measureMs)}` : ''
    const alive = parts.filter(({ complete }) => !complete).length
    // Each fits 80 columns.
    this.#lines.draw([
      `-- zerio gc  ${durationText(elapsedMs)}${whole} `.padEnd(60, '-'),
      `now  ${secondText(before, total)}`,
      `all  ${bytesText(heapBytes)}  ${countText(collections.minor)} minor  ${countText(collections.major)} major  ` +
        `pause p99 ${durationText(pauses.p99Us / 1000)}, max ${durationText(pauses.maxUs / 1000)}  ` +
        `delay p99 ${durationText(eventLoop.p99Ms)}`,
      `of   ${countText(alive)} threads, and ${countText(parts.length - alive)} that have ended`
    ])
  }

  close(): void {
    this.#lines.close()
  }
}

/** What happened between two reports. */
function secondText(before: GcReportData, report: GcReportData): string {
  const elapsedMs = Math.max(1, report.elapsedMs - before.elapsedMs)
  // Figures of a thread that the command could not read in between are those of both.
  const since = (of: (report: GcReportData) => number): number => Math.max(0, of(report) - of(before))
  const perSecond = (bytes: number) => `${bytesText((bytes * 1000) / elapsedMs)}/s`
  return [
    `heap ${perSecond(since(({ heapBytes }) => heapBytes))}`,
    `external ${perSecond(since(({ externalBytes }) => externalBytes ?? 0))}`,
    `${countText(since(({ collections }) => collections.minor))} minor`,
    `${countText(since(({ collections }) => collections.major))} major`,
    `paused ${percentText(since(({ pauses }) => pauses.totalMs) / elapsedMs)}`
  ].join('  ')
}
