// How many messages there were. Beyond 2^31 a number of its own would be garbage for each message; in a typed array it is not.

export class MessageCount {
  readonly #words = new Float64Array(1)

  get value(): number {
    return this.#words[0]
  }

  add(count = 1): void {
    this.#words[0] += count
  }

  clear(): void {
    this.#words[0] = 0
  }
}
