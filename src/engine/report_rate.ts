// How often an error is reported that remote machines can cause again and again: the mirror of addon/engine/report_rate.h.

const AT_ONCE = 100
const INTERVAL_MS = 10

interface Kind {
  /** When as many as {@link AT_ONCE} may be reported again, in milliseconds. */
  fullMs: number
  unreported: number
}

/** A hundred reports of each kind at once, and a hundred a second. What happens beyond that is counted for the next report. */
export class ReportRate {
  readonly #kinds = new Map<string, Kind>()

  /** One more has happened. Returns how many a report made now stands for, or 0 when none is due. `kind` is one of a few. */
  count(kind: string): number {
    const nowMs = performance.now()
    let it = this.#kinds.get(kind)
    if (it === undefined) {
      it = { fullMs: 0, unreported: 0 }
      this.#kinds.set(kind, it)
    }
    const count = ++it.unreported
    if (it.fullMs > nowMs + (AT_ONCE - 1) * INTERVAL_MS) return 0
    it.fullMs = Math.max(it.fullMs, nowMs) + INTERVAL_MS
    it.unreported = 0
    return count
  }
}
