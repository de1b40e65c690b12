// Writes messages of Protocol Buffers, as far as pprof's format needs them.

const enum Wire {
  Varint = 0,
  Bytes = 2
}

/** One message; its methods add a field each. Numbers are not negative, and below 2^53. */
export class Message {
  readonly #parts: Uint8Array[] = []

  number(field: number, value: number): this {
    return this.#add(varints([field * 8 + Wire.Varint, value]))
  }

  /** A field that is repeated, packed. */
  numbers(field: number, values: readonly number[]): this {
    return this.#addBytes(field, varints(values))
  }

  text(field: number, text: string): this {
    return this.#addBytes(field, Buffer.from(text))
  }

  message(field: number, message: Message): this {
    return this.#addBytes(field, message.bytes())
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts)
  }

  #addBytes(field: number, bytes: Uint8Array): this {
    return this.#add(varints([field * 8 + Wire.Bytes, bytes.length])).#add(bytes)
  }

  #add(bytes: Uint8Array): this {
    this.#parts.push(bytes)
    return this
  }
}

/** Seven bits a byte, the lowest first; the eighth says that more follow. */
function varints(values: readonly number[]): Uint8Array {
  const bytes: number[] = []
  for (const value of values) {
    let left = Math.round(value)
    for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128)
    bytes.push(left)
  }
  return Uint8Array.from(bytes)
}
