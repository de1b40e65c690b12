// The message every throughput program sends, the same in C (see perf/c/oneway.c): three fields, then bytes that no receiver
// reads. The sequence shows the receiver whether all messages arrived.
//
// One object, whose members each program makes constants of its own: V8 looks up an imported name at each use, which
// costs 2 to 5 ns a message, and a constant never.

const PAYLOAD_BYTES = 32
const HEADER_BYTES = 4
const QUANTITY_AT = 4
const PRICE_AT = 8
const SEQUENCE_MASK = 0x3fffffff

/** @param {number} sequence */
const quantityOf = (sequence) => sequence & 1023

/** @param {number} sequence */
const priceOf = (sequence) => 100 + (sequence & 7) * 0.25

/** @param {DataView} view @param {number} at @param {number} sequence */
function writeFields(view, at, sequence) {
  view.setInt32(at, sequence, true)
  view.setInt32(at + QUANTITY_AT, quantityOf(sequence), true)
  view.setFloat64(at + PRICE_AT, priceOf(sequence), true)
}

/** Sequences stay small integers (below 2^30), whatever the engine's idea of small. */
const nextSequence = (sequence) => (sequence + 1) & SEQUENCE_MASK

/** The sequence that the message number `count` (the first is 1) has to carry. */
const sequenceOf = (count) => (count - 1) & SEQUENCE_MASK

export const format = {
  PAYLOAD_BYTES,
  HEADER_BYTES,
  QUANTITY_AT,
  PRICE_AT,
  quantityOf,
  priceOf,
  writeFields,
  nextSequence,
  sequenceOf
}
