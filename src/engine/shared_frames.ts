// Frames that many connections are sent from one copy: JavaScript appends to them, and the engine sends them. The memory is used again when
// every connection has what it is to have.
import * as typedArrays from '../options/typed_arrays.js'
import { Header } from './layout.js'
import type { NativeEngine } from './native.js'

// See send_ring.ts.
const { lengthOf } = typedArrays

/** What this needs of the native engine. */
export type BytesCopier = Pick<NativeEngine, 'copyBytes'>

/** Up to this length a loop beats a call. */
const LOOP_BYTES_MAX = 48

export class SharedFrames {
  readonly bytes: Uint8Array
  /** How long all frames are. */
  size = 0
  readonly #view: DataView
  readonly #copier: BytesCopier

  /** Throws a RangeError when there is no memory. */
  constructor(bytesMax: number, copier: BytesCopier) {
    this.bytes = new Uint8Array(bytesMax)
    this.#view = new DataView(this.bytes.buffer)
    this.#copier = copier
  }

  /** Appends a message, for which there is room. The bytes are inside of the array. Runs no code of the program. */
  append(bytes: Uint8Array, offset: number, length: number, channel: number): void {
    const target = this.bytes
    const at = this.size + Header.Bytes
    this.#view.setInt32(this.size, length | (channel << Header.ChannelShift), true)
    if (length <= LOOP_BYTES_MAX) for (let i = 0; i < length; i++) target[at + i] = bytes[offset + i]
    else if (offset === 0 && length === lengthOf.call(bytes)) target.set(bytes, at)
    else this.#copier.copyBytes(target, at, bytes, offset, length)
    this.size = at + length
  }

  /** How many frames end behind this position. */
  countFrom(position: number): number {
    let frames = 0
    for (let at = 0; at < this.size; ) {
      at += Header.Bytes + (this.#view.getInt32(at, true) & Header.LengthMask)
      if (at > position) frames++
    }
    return frames
  }
}
