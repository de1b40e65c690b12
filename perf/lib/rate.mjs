// Counts messages per second on the receiving side: a warm-up, then a stretch that is measured. The few lines around it stand in each sink
// server, because a shared function would be one more call on the path that is measured.

export class Rate {
  #warmupMs
  #durationMs
  #startedMs = 0
  #measuredFromMs = 0
  #measuredFromCount = 0

  /** @param {number} warmupMs @param {number} durationMs */
  constructor(warmupMs, durationMs) {
    this.#warmupMs = warmupMs
    this.#durationMs = durationMs
  }

  /**
   * Call it now and then (per chunk, or every few thousand messages) with how many messages have come in all.
   * @param {number} count
   * @returns {number} messages per second when the measurement is over, before that 0
   */
  update(count) {
    const nowMs = performance.now()
    if (this.#startedMs === 0) {
      this.#startedMs = nowMs
    } else if (this.#measuredFromMs === 0) {
      if (nowMs - this.#startedMs < this.#warmupMs) return 0
      this.#measuredFromMs = nowMs
      this.#measuredFromCount = count
    } else if (nowMs - this.#measuredFromMs >= this.#durationMs) {
      return ((count - this.#measuredFromCount) * 1000) / (nowMs - this.#measuredFromMs)
    }
    return 0
  }
}
