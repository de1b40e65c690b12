// How often a function is called for a measurement: until V8 has compiled it, and then as often as the time allows.
import { performance } from 'node:perf_hooks'
import { HeapMeter } from './heap_meter.js'
import type { ResolvedMeasureOptions } from './options.js'

/** Calls `from` to `to - 1` are next. One object for all steps. */
export interface Calls {
  from: number
  to: number
}

/** Of the time, at most so much is for the warm-up. */
const warmupShare = 0.5
/** V8 optimizes on another thread, and needs some calls before it begins. */
const warmupCallsMin = 20_000
const warmupMsMin = 50
/** A round of the warm-up takes about so long. */
const roundMs = 5
/** V8 has compiled the function when so many rounds one after the other allocate the same. */
const equalRounds = 4
/** Two rounds are equal within these. */
const equalBytes = 0.5
const equalShare = 0.01
/** Between so many parts the measurement looks at the clock. */
const parts = 8

export class Measuring {
  readonly calls: Calls = { from: 0, to: 0 }
  /** Calls that were measured. */
  operations = 0
  /** The time of these calls alone. */
  callsMs = 0
  /** Whether the last measurement began before V8 had compiled everything, so that it should be made again. */
  isRepeated = true
  /** What the report should say of the measurement. */
  readonly notes: string[] = []
  readonly #meter = new HeapMeter(() => {})
  readonly #beginMs = performance.now()
  #nsPerCall = Number.NaN

  constructor(private readonly options: ResolvedMeasureOptions) {}

  /** Each step has its calls in `calls`; who drives it makes them. */
  *warmup(): Generator<undefined, void> {
    const { warmup, timeLimitMs } = this.options
    const limitMs = timeLimitMs * warmupShare
    let rounds: number[] = []
    let size = Math.min(1, warmup ?? 1)
    while (size > 0 && this.#spentMs < limitMs) {
      const bytes = yield* this.#round(size)
      rounds = rounds.every((one) => isEqual(one, bytes)) ? [...rounds, bytes] : [bytes]
      const isDone =
        warmup === undefined &&
        rounds.length >= equalRounds &&
        this.calls.to >= warmupCallsMin &&
        this.#spentMs >= warmupMsMin
      if (isDone) break
      size = Math.max(1, Math.min(size * 4, Math.floor((roundMs * 1e6) / this.#nsPerCall)))
      if (warmup !== undefined) size = Math.min(size, warmup - this.calls.to)
    }
  }

  /** The calls that count. `allocated` gives the bytes so far. */
  *measurement(allocated: () => number): Generator<undefined, void> {
    const { operations, timeLimitMs } = this.options
    this.calls.to = 0
    this.operations = 0
    this.callsMs = 0
    const beginMs = performance.now()
    // The warm-up uses up all of the time when the process stands still meanwhile. The measured calls get their share even then,
    // because a measurement of one call proves nothing.
    const limitMs = Math.max(timeLimitMs, this.#spentMs + timeLimitMs * (1 - warmupShare))
    const bytesOfParts: number[] = []
    while (this.operations < operations) {
      const leftMs = limitMs - this.#spentMs
      if (this.operations > 0 && leftMs <= 0) break
      const fitting = Math.floor((leftMs * 1e6) / this.#nsPerCall)
      const all = Math.min(operations, Number.isNaN(fitting) ? operations : fitting)
      const size = Math.max(1, Math.min(Math.ceil(all / parts), operations - this.operations))
      const before = allocated()
      yield* this.#next(size)
      this.operations = this.calls.to
      bytesOfParts.push((allocated() - before) / size)
    }
    const isSteady = isEqual(bytesOfParts[0], bytesOfParts[bytesOfParts.length - 1])
    const endMs = performance.now()
    this.isRepeated =
      !isSteady && this.options.warmup === undefined && this.#spentMs + endMs - beginMs < timeLimitMs
    if (this.operations < operations) {
      const { operations: made } = this
      this.notes.push(`${timeLimitMs} ms were over after ${made} of ${operations} operations (timeLimitMs).`)
    }
  }

  get #spentMs(): number {
    return performance.now() - this.#beginMs
  }

  /** Bytes for each of the calls. */
  *#round(size: number): Generator<undefined, number> {
    const before = this.#meter.heapBytes
    this.#meter.begin()
    try {
      yield* this.#next(size)
    } finally {
      this.#meter.end()
    }
    return (this.#meter.heapBytes - before) / size
  }

  *#next(size: number): Generator<undefined, void> {
    this.calls.from = this.calls.to
    this.calls.to += size
    const beginMs = performance.now()
    yield
    const tookMs = performance.now() - beginMs
    this.callsMs += tookMs
    this.#nsPerCall = Math.max(1, (tookMs * 1e6) / size)
  }
}

function isEqual(a: number, b: number): boolean {
  return Math.abs(a - b) <= equalBytes + equalShare * Math.max(a, b)
}
