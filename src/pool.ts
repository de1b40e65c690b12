// Pool memory: allocated once, never detached, shared between JavaScript and the engine.

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

export function poolBuffer(memory: ArrayBuffer): PoolBuffer {
  return Object.assign(Buffer.from(memory), { view: new DataView(memory) })
}

/**
 * Memory that is committed page by page as it is touched and that nobody can detach, so that native code may keep its address.
 * Throws a RangeError when the system has no address space left.
 */
export function allocatePool(bytes: number): ArrayBuffer {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  return new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer
}

/** One pool: a WebAssembly memory with the control words, send rings and assembly buffers of some slots. */
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
