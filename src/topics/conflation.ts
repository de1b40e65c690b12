// The newest value of each key of a topic, once, and for each member which of them it lacks. A member whose ring has room gets every
// update. From the first one that found none it lags, and costs nothing until there is room: then the keys that have changed since are
// marked, and it gets the newest value of each.
//
// A value lies in the block as it travels: the key, then the value. So a member that catches up is sent to from the same place.

import type { Audience } from '../engine/audience.js'
import { grown } from '../engine/columns.js'
import { type PoolBuffer, poolBuffer } from '../engine/pool.js'
import type { SendRing } from '../engine/send_ring.js'
import { ZerioError } from '../errors.js'
import { lengthOf } from '../options/typed_arrays.js'
import { Status } from '../status.js'
import { Changes } from './changes.js'

/** The key in front of each value. */
export const KEY_BYTES = 4
const ABSENT = -1
/** A loop is faster than a call up to here. */
const LOOP_BYTES_MAX = 16

/** Whether a member has all that was set. */
export const enum Lag {
  None = 0,
  /** A drain of its ring follows. */
  AwaitsDrain = 1,
  /** Nothing follows that says when to try again: the program has a claim open there. */
  TriesAgain = 2
}

export class Conflation {
  readonly #block: PoolBuffer
  /** The same memory: V8 finds the methods of a Uint8Array faster than those of a Buffer. */
  readonly #bytes: Uint8Array
  readonly #stride: number
  readonly #lengths: Int32Array
  /** How many words a bitmap of all keys has. */
  readonly #words: number
  /** A bit for each key that has a value. */
  readonly #present: Int32Array
  /** By position in the topic: the member's row. */
  #rowAt = new Int32Array(4)
  readonly #freeRows: number[] = []
  #rows = 0
  readonly #changes: Changes
  // By row: which keys the member lacks of those that were set the first `since` times, where its next catching up begins, and whether it
  // lags.
  #lacks: Int32Array
  #since = new Float64Array(4)
  #cursor = new Int32Array(4)
  #lag = new Uint8Array(4)
  /** How many members lag and get a drain. */
  waiting = 0
  /** How many values `catchUp` has sent, and how many it has left out, since it was called last. */
  sent = 0
  skipped = 0

  constructor(
    readonly keysMax: number,
    readonly valueBytesMax: number
  ) {
    // Whole words, so that short values are copied word by word.
    this.#stride = (KEY_BYTES + valueBytesMax + 3) & ~3
    const memory = new ArrayBuffer(this.#stride * keysMax)
    this.#block = poolBuffer(memory)
    this.#bytes = new Uint8Array(memory)
    this.#lengths = new Int32Array(keysMax).fill(ABSENT)
    this.#words = Math.ceil(keysMax / 32)
    this.#present = new Int32Array(this.#words)
    this.#lacks = new Int32Array(4 * this.#words)
    this.#changes = new Changes(keysMax)
  }

  /** Keeps a value. The bytes are inside of the array. */
  keep(key: number, bytes: Uint8Array, offset: number, length: number): void {
    const target = this.#bytes
    const at = key * this.#stride
    this.#block.view.setUint32(at, key, true)
    // A part of an array has no call without garbage.
    if (offset === 0 && length === lengthOf.call(bytes) && length > LOOP_BYTES_MAX)
      target.set(bytes, at + KEY_BYTES)
    else for (let i = 0; i < length; i++) target[at + KEY_BYTES + i] = bytes[offset + i]
    this.#lengths[key] = length
    this.#present[key >> 5] |= 1 << (key & 31)
    this.#changes.add(key)
  }

  /** Sends the present value of a key. May throw, as `SendRing.sendPart` does. */
  send(ring: SendRing, key: number): number {
    return ring.sendPart(this.#block, key * this.#stride, this.messageLength(key), 0)
  }

  /** How long the message with the present value of a key is. */
  messageLength(key: number): number {
    return KEY_BYTES + this.#lengths[key]
  }

  /** Sends the present value of a key to an audience. */
  publish(audience: Audience, key: number): number {
    return audience.publish(this.#block, key * this.#stride, this.messageLength(key), 0)
  }

  lagAt(position: number): Lag {
    return this.#lag[this.#rowAt[position]]
  }

  /** A member that had everything lags from now on: it lacks the value that was kept last. */
  begin(position: number, lag: Lag): void {
    const row = this.#rowAt[position]
    this.#since[row] = this.#changes.count - 1
    this.#cursor[row] = 0
    this.#setLag(row, lag)
  }

  /**
   * Marks what a member that lags lacks by now. Returns how many values it will not get, because it lacked an older one of the same key
   * already.
   */
  settle(position: number): number {
    const row = this.#rowAt[position]
    const count = this.#changes.count
    const changed = count - this.#since[row]
    if (changed === 0 || this.#lag[row] === Lag.None) return 0
    const marked = this.#changes.mark(this.#since[row], this.#lacks, row * this.#words)
    this.#since[row] = count
    return changed - marked
  }

  /** Makes room for one more member, which has this position. Throws `ZERIO_OUT_OF_MEMORY`, and then nothing has changed. */
  reserve(position: number): void {
    const rows = this.#lag.length
    try {
      if (position === this.#rowAt.length) this.#rowAt = grown(this.#rowAt, 2 * position)
      if (this.#freeRows.length > 0 || this.#rows < rows) return
      this.#lacks = grown(this.#lacks, 2 * rows * this.#words)
      this.#since = grown(this.#since, 2 * rows)
      this.#cursor = grown(this.#cursor, 2 * rows)
      this.#lag = grown(this.#lag, 2 * rows)
    } catch (cause) {
      throw new ZerioError(
        'ZERIO_OUT_OF_MEMORY',
        `There is no memory for ${2 * rows} members with ${this.keysMax} keys each; lower keysMax, or raise the limits of the process.`,
        { cause }
      )
    }
  }

  /** The member at the last position is new: it lacks all values that there are. Returns whether there are any. */
  joined(position: number): boolean {
    const row = this.#freeRows.pop() ?? this.#rows++
    this.#rowAt[position] = row
    this.#lag[row] = Lag.None
    this.#since[row] = this.#changes.count
    this.#cursor[row] = 0
    let any = 0
    for (let word = 0; word < this.#words; word++) {
      any |= this.#present[word]
      this.#lacks[row * this.#words + word] = this.#present[word]
    }
    return any !== 0
  }

  /** The member at this position has left, and that of the last position takes its place. */
  departed(position: number, last: number): void {
    this.#setLag(this.#rowAt[position], Lag.None)
    this.#freeRows.push(this.#rowAt[position])
    this.#rowAt[position] = this.#rowAt[last]
  }

  /**
   * Sends what is marked as lacking, in the order of the keys, from where it stopped last. Each value is sent once. Returns whether the
   * member still lags.
   */
  catchUp(position: number, ring: SendRing): Lag {
    const row = this.#rowAt[position]
    this.sent = this.skipped = 0
    let lag = Lag.None
    try {
      for (let key = this.#nextLacked(row); key >= 0; key = this.#nextLacked(row)) {
        lag = Lag.TriesAgain
        const status = this.send(ring, key)
        lag = Lag.None
        if (status === Status.BackPressured) {
          lag = Lag.AwaitsDrain
          break
        }
        if (status === Status.Sent) this.sent++
        else if (status !== Status.Closed) this.skipped++
        this.#lacks[row * this.#words + (key >> 5)] &= ~(1 << (key & 31))
        this.#cursor[row] = key + 1 === this.keysMax ? 0 : key + 1
      }
    } finally {
      this.#setLag(row, lag)
    }
    return lag
  }

  #setLag(row: number, lag: Lag): void {
    if (this.#lag[row] === Lag.AwaitsDrain) this.waiting--
    if (lag === Lag.AwaitsDrain) this.waiting++
    this.#lag[row] = lag
  }

  /** The next key that a member lacks, from its cursor on and then from the first one on; -1 when it lacks none. */
  #nextLacked(row: number): number {
    const words = this.#words
    const base = row * words
    const from = this.#cursor[row]
    const first = from >> 5
    // The bits of the first word in front of the cursor come last.
    let bits = this.#lacks[base + first] & (-1 << (from & 31))
    for (let i = 0; i <= words; i++) {
      const word = (first + i) % words
      if (i > 0) bits = this.#lacks[base + word]
      if (bits !== 0) return (word << 5) + 31 - Math.clz32(bits & -bits)
    }
    return -1
  }
}
