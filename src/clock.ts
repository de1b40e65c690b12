// A monotonic clock that makes no garbage.

import { monotonicNs } from './engine/monotonic.js'
import { misuse, type ZerioError } from './errors.js'
import { describe } from './options/given.js'
import { float64Length } from './options/typed_arrays.js'

/**
 * Writes the monotonic time in nanoseconds to `target[index]`. Allocates nothing, whereas `performance.now()` and
 * `process.hrtime.bigint()` make a heap object for each call. All processes of a machine share the clock (Linux:
 * `CLOCK_MONOTONIC`), so that differences between two processes make sense. Exact to 1 ns until 2^53 ns, 104 days after boot. Throws
 * `ZERIO_BAD_ARGUMENT` unless `target` is a Float64Array that has `index`.
 *
 * @param index which element is written; default 0.
 */
export function readClock(target: Float64Array, index = 0): void {
  const length = float64Length(target)
  if (!(Number.isInteger(index) && index >= 0 && index < length)) throw badPlace(target, length, index)
  target[index] = monotonicNs()
}

function badPlace(target: unknown, length: number, index: unknown): ZerioError {
  const text =
    length < 0
      ? `The time is written into a Float64Array, not into ${describe(target)}.`
      : `The index must be an integer inside the ${length} elements given, not ${describe(index)}.`
  return misuse('ZERIO_BAD_ARGUMENT', text)
}
