// What servers of updates, their subscribers and their starters agree on.

export const KEYS = 256
/** A key (u32) and a value: the sequence number (u32), 4 bytes of nothing, and when it was due (float64 nanoseconds). */
export const UPDATE_BYTES = 20
export const VALUE_BYTES = 16
export const SCHEDULE_FLAGS = { perTurn: 250, turnMs: 25 }

/** Which key has the update of this number, as in perf/c/subscribers.c. */
export const keyOf = (sequence) => Math.imul(sequence, 2654435761) >>> 24

/** Writes key and value, as zerio's topics send them. @param {DataView} view */
export function writeUpdate(view, at, sequence, dueNs) {
  view.setUint32(at, keyOf(sequence), true)
  view.setUint32(at + 4, sequence, true)
  view.setFloat64(at + 12, dueNs, true)
}
