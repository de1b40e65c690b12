// Which keys of a topic were set since when: a log of the last `set` of each key. So a `set` takes the same time however many members lag,
// and a member that catches up looks at what has changed since it looked last.

/** By key: it is not in the log. */
const ABSENT = -1

export class Changes {
  // By entry, the oldest first: the key, and which `set` it was. An entry whose key was set again later says nothing, until it is dropped.
  readonly #keys: Int32Array
  readonly #numbers: Float64Array
  /** By key: its last entry. */
  readonly #entryOf: Int32Array
  #end = 0
  /** How many there were so far. In an array, because a field that holds a float64 allocates. */
  readonly #count = new Float64Array(1)

  constructor(keysMax: number) {
    // With room for two of each key, dropping what says nothing gives back at least half of it.
    this.#keys = new Int32Array(2 * keysMax)
    this.#numbers = new Float64Array(2 * keysMax)
    this.#entryOf = new Int32Array(keysMax).fill(ABSENT)
  }

  /** How many times a key was set so far. */
  get count(): number {
    return this.#count[0]
  }

  /** A key was set. */
  add(key: number): void {
    if (this.#end === this.#keys.length) this.#compact()
    const at = this.#end++
    this.#keys[at] = key
    this.#numbers[at] = ++this.#count[0]
    this.#entryOf[key] = at
  }

  /**
   * Sets the bits of all keys that were set after the first `since` times, in a bitmap that begins at `first`. Returns how many of these bits
   * were not set before.
   */
  mark(since: number, bitmap: Int32Array, first: number): number {
    let marked = 0
    for (let at = this.#end - 1; at >= 0 && this.#numbers[at] > since; at--) {
      const word = first + (this.#keys[at] >> 5)
      const bit = 1 << (this.#keys[at] & 31)
      if ((bitmap[word] & bit) === 0) marked++
      bitmap[word] |= bit
    }
    return marked
  }

  #compact(): void {
    let end = 0
    for (let at = 0; at < this.#end; at++) {
      const key = this.#keys[at]
      if (this.#entryOf[key] !== at) continue
      this.#keys[end] = key
      this.#numbers[end] = this.#numbers[at]
      this.#entryOf[key] = end++
    }
    this.#end = end
  }
}
