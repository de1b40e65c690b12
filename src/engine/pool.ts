// Pool memory: allocated once, never detached, shared between JavaScript and the engine.
import { readFileSync } from 'node:fs'
import { ZerioError } from '../errors.js'

/** The part of the WebAssembly namespace that zerio uses; Node's types leave it out. */
declare const WebAssembly: {
  Memory: new (descriptor: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
}

const WASM_PAGE_BYTES = 65536

/**
 * Memory of the pools: a Buffer that has its DataView with it. Reading a field through the view takes 1 ns, through `readInt32LE` and
 * its like 15 ns (Node 20), and a view of one's own would be garbage.
 */
export type PoolBuffer = Buffer & {
  /** The same bytes at the same offsets. */
  readonly view: DataView
}

/** The memory of one pool. */
export type PoolMemory = ArrayBuffer | SharedArrayBuffer

/**
 * What an engine's pools are made of. `'wasm'`: WebAssembly memories, the normal case. `'shared'`: a WebAssembly memory was refused,
 * and at least one pool is a `SharedArrayBuffer`.
 */
export type MemoryKind = 'wasm' | 'shared'

export function poolBuffer(memory: PoolMemory): PoolBuffer {
  return Object.assign(Buffer.from(memory), { view: new DataView(memory) })
}

/**
 * Makes the pools of one engine. Their memory is committed page by page as it is touched, and nothing can detach it, so that native
 * code may keep its address.
 *
 * V8 reserves about 10 GB of addresses for each WebAssembly memory. Where a limit (`ulimit -v`) leaves fewer, or where there is no
 * WebAssembly at all (`--jitless`), the engine goes on with SharedArrayBuffers, which take no more addresses than they have bytes.
 */
export class PoolAllocator {
  #kind: MemoryKind = 'wasm'
  #reason = 'WebAssembly memories, which cannot be detached, are available'

  get kind(): MemoryKind {
    return this.#kind
  }

  /** Why the memory is of this kind, as a sentence without its full stop. */
  get reason(): string {
    return this.#reason
  }

  /** Throws `ZERIO_OUT_OF_MEMORY` when the system refuses both kinds. */
  allocate(bytes: number): PoolMemory {
    // V8 collects all garbage several times before it refuses one, so the next pool does not ask again.
    if (this.#kind === 'wasm') {
      try {
        return allocateWasm(bytes)
      } catch (cause) {
        this.#kind = 'shared'
        this.#reason =
          typeof WebAssembly === 'undefined'
            ? 'this process has no WebAssembly (--jitless), so pools are SharedArrayBuffers'
            : `a WebAssembly memory was refused (${messageOf(cause)}), for which V8 reserves about 10 GB of addresses${limitOfAddresses()}, so pools are SharedArrayBuffers`
      }
    }
    try {
      return new SharedArrayBuffer(bytes)
    } catch (cause) {
      throw new ZerioError(
        'ZERIO_OUT_OF_MEMORY',
        `There is no memory for a pool of ${bytes} bytes (${messageOf(cause)})${limitOfAddresses()}; raise the limit of addresses (ulimit -v) or the memory limit of the container, or lower sendRingBytes, maxMessageLength or the number of peers.`,
        { cause }
      )
    }
  }
}

function allocateWasm(bytes: number): ArrayBuffer {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  return new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** What Linux says about the limit that makes allocations fail although there is memory. Empty where there is no such limit. */
function limitOfAddresses(): string {
  try {
    const limit = /^Max address space +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
    return limit === null ? '' : `; this process may have ${limit[1]} bytes of addresses`
  } catch {
    return ''
  }
}

/** One pool: memory with the control words, send rings and assembly buffers of some slots. */
export interface Slab {
  readonly index: number
  readonly first: number
  readonly count: number
  readonly buffer: PoolBuffer
  readonly view: DataView
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly slotsOffset: number
  readonly ringsOffset: number
}
