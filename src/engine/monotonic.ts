// The monotonic clock of native code, and what the clock of `performance.now()` has begun with on it.
import { native } from './native.js'

// No other code has it and could detach it, so it needs no pool: each pool takes gigabytes of address space, already at import.
const words = new Float64Array(new ArrayBuffer(8))
const stamp = native.makeClock(words)

/** Nanoseconds. Makes no garbage where the caller is compiled. */
export function monotonicNs(): number {
  stamp()
  return words[0]
}

/** What the monotonic clock shows when `performance.now()` is 0, in nanoseconds: the best of some comparisons. */
export const performanceOriginNs = ((): number => {
  let origin = 0
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 10; i++) {
    const before = performance.now()
    const now = monotonicNs()
    const took = performance.now() - before
    if (took >= best) continue
    best = took
    origin = now - (before + took / 2) * 1e6
  }
  return origin
})()
