// Where the things of a send ring lie, as its control words say it: what is not on the straight path of a message.
//
// `words` are the memory's, and `at` is the place of the ring's first control word in them. The program can have overwritten any of
// them: that spoils this ring, and no other.
import { Layout, SlotWord } from './layout.js'

/** The position at which a ring's main part begins; those below are the front, beside the control words. */
export const MAIN = Layout.SlotFrontBytes
/** As in memory_stagger (addon/io/memory.h), which says why. */
const STAGGER_BYTES = 4096
const STAGGER_STEP = 25 * 64
/** A ring that was filled to less than one part of so many is copied in no time; and no more than one part is left out. */
const STAGGERED_PARTS = 8

/** The engine's head, or what it has sent. The engine does not know of a rewind until the next flush. */
export function positionIn(
  word: SlotWord.Head | SlotWord.Sent,
  words: Int32Array,
  at: number,
  capacity: number
): number {
  const isBegun = words[at + SlotWord.Rewinds] !== words[at + SlotWord.RewindsSeen]
  const position = words[at + (isBegun ? SlotWord.RewindTo : word)]
  return position >= 0 && position <= MAIN + capacity ? position : 0
}

/** Bytes from a position to the tail. */
export function bytesBetween(position: number, tail: number, capacity: number): number {
  if (tail < position) return capacity - position + tail
  return tail - (position < MAIN && tail >= MAIN ? MAIN : position)
}

/** Bytes of frames and of unused gaps from the head on. */
export function pendingBytes(
  words: Int32Array,
  at: number,
  head: number,
  tail: number,
  capacity: number
): number {
  const jumps = head < MAIN && tail >= MAIN
  return bytesBetween(head, tail, capacity) + (jumps ? Math.max(0, words[at + SlotWord.JumpEnd] - head) : 0)
}

/**
 * Where the head and the tail are: for each the round, of which one begins whenever the ring begins again, and the position in it.
 *
 * @param laps how often the tail has gone from the ring's end to the beginning of the main part.
 */
export function locate(
  places: Int32Array,
  words: Int32Array,
  at: number,
  head: number,
  tail: number,
  laps: number
): void {
  const round = words[at + SlotWord.Rewinds] + laps
  const wraps = tail < head
  // A head at a jump is where the jump leads: what is left unused there is never sent.
  const jumps = (wraps || (head < MAIN && tail >= MAIN)) && head === words[at + SlotWord.JumpEnd]
  places[0] = wraps && !jumps ? round - 1 : round
  places[1] = jumps ? MAIN : head
  places[2] = round
  places[3] = tail
}

/**
 * Where a ring that is empty begins again, so that a quiet peer touches its slot and a busy one stays in the cache: in the front when it
 * had room for all since the last time, otherwise in the main part. There not always at the same place.
 */
export function placeToBegin(
  words: Int32Array,
  at: number,
  tail: number,
  capacity: number,
  need: number
): number {
  if (tail < MAIN) return 0
  const begun = Math.max(words[at + SlotWord.RewindTo], MAIN)
  const filled = tail - begun + words[at + SlotWord.JumpEnd]
  if (filled < MAIN) return 0
  const stagger = (words[at + SlotWord.Rewinds] * STAGGER_STEP) & (STAGGER_BYTES - 1)
  const part = capacity / STAGGERED_PARTS
  return filled >= part && stagger <= part && stagger + need <= capacity ? MAIN + stagger : MAIN
}

/** Writes the header of each of so many frames of `bytes` bytes. */
export function writeHeaders(view: DataView, at: number, header: number, bytes: number, count: number): void {
  let next = at | 0
  for (let i = 0; i < count; i++) {
    view.setInt32(next, header, true)
    next = (next + bytes) | 0
  }
}
