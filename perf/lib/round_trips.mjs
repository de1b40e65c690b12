// Times round trips one after the other, and with --meter what they allocate on each side (see meter.mjs): for the
// programs that have no clock without garbage.
import { Meter } from './meter.mjs'
import { roundTripPercentiles } from './stats.mjs'

export const ROUND_TRIP_FLAGS = { port: 0, warmup: 2_000, count: 20_000, meter: false }

/** The measuring side: start() before the first message, returned() for each that came back. */
export class RoundTrips {
  #warmup
  #total
  #meter
  #timesNs
  #received = 0

  constructor({ warmup, count, meter }) {
    this.#warmup = warmup
    this.#total = warmup + count
    this.#meter = meter ? new Meter() : null
    this.#timesNs = new Float64Array(this.#total + 1)
  }

  start() {
    this.#timesNs[0] = performance.now() * 1e6
  }

  /** Whether another message is to be sent. */
  returned() {
    this.#received++
    this.#timesNs[this.#received] = performance.now() * 1e6
    if (this.#received === this.#warmup) this.#meter?.start()
    if (this.#received < this.#total) return true
    this.#meter?.stop()
    return false
  }

  get isComplete() {
    return this.#received === this.#total
  }

  get result() {
    return { ...roundTripPercentiles(this.#timesNs.subarray(this.#warmup)), ...this.#meter?.result }
  }
}

/** The echo side: call echoed() for each message. */
export class EchoMeter {
  #warmup
  #total
  #meter
  #count = 0

  constructor({ warmup, count, meter }) {
    this.#warmup = warmup
    this.#total = warmup + count
    this.#meter = meter ? new Meter() : null
  }

  echoed() {
    this.#count++
    if (this.#count === this.#warmup) this.#meter?.start()
    if (this.#count === this.#total) this.#meter?.stop()
  }

  get result() {
    return { ...this.#meter?.result }
  }
}
