// A monotonic clock that makes no garbage.
import { misuse } from './errors.js'
import { describe } from './given.js'
import { native } from './native.js'
import { kindOf, lengthOf } from './typed_arrays.js'

// Nobody else can reach it to detach it, so it needs no pool: those take gigabytes of address space each, already at import.
const words = new Float64Array(new ArrayBuffer(8))
const stamp = native.makeClock(words)

/**
 * Writes the monotonic time in nanoseconds to `target[index]` (default 0). Allocates nothing, where `performance.now()` and
 * `process.hrtime.bigint()` make a heap object for each call. All processes of a machine share the clock (Linux:
 * `CLOCK_MONOTONIC`), so that differences between two processes make sense. Exact to 1 ns until 2^53 ns, 104 days after boot. Throws
 * `ZERIO_BAD_ARGUMENT` unless `target` is a Float64Array that has `index`.
 */
export function readClock(target: Float64Array, index = 0): void {
  if (kindOf.call(target) !== 'Float64Array')
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `The time is written into a Float64Array, not into ${describe(target)}.`
    )
  if (!(Number.isInteger(index) && index >= 0 && index < lengthOf.call(target))) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `The index must be an integer inside the ${lengthOf.call(target)} elements given, not ${describe(index)}.`
    )
  }
  stamp()
  target[index] = words[0]
}
