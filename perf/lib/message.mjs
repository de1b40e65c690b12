// The message every throughput program sends, the same in C (see perf/c/oneway.c): three fields, then bytes nobody
// looks at. The sequence lets the receiver find out whether all arrived.

export const PAYLOAD_BYTES = 32
export const HEADER_BYTES = 4
export const QUANTITY_AT = 4
export const PRICE_AT = 8
const SEQUENCE_MASK = 0x3fffffff

/** @param {number} sequence */
export const quantityOf = (sequence) => sequence & 1023

/** @param {number} sequence */
export const priceOf = (sequence) => 100 + (sequence & 7) * 0.25

/** @param {DataView} view @param {number} at @param {number} sequence */
export function writeFields(view, at, sequence) {
  view.setInt32(at, sequence, true)
  view.setInt32(at + QUANTITY_AT, quantityOf(sequence), true)
  view.setFloat64(at + PRICE_AT, priceOf(sequence), true)
}

/** Sequences stay small integers (below 2^30), whatever the engine's idea of small. */
export function nextSequence(sequence) {
  return (sequence + 1) & SEQUENCE_MASK
}

/** The sequence that the message number `count` (the first is 1) has to carry. */
export function sequenceOf(count) {
  return (count - 1) & SEQUENCE_MASK
}
