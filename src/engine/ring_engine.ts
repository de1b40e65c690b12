// What the send rings see of their engine.
/** What a ring needs of its engine. */
export interface RingEngine<Ring> {
  readonly options: { readonly sendRingBytes: number; readonly maxMessageLength: number }
  readonly native: {
    copy(slab: number, offset: number, source: Uint8Array, sourceOffset: number, length: number): void
  }
  /** The ring has unsent bytes now. */
  markDirty(ring: Ring): void
  /** Hands this ring's published bytes to the system. */
  flushOne(ring: Ring): void
  /** The same at the end of the process, waiting for room. */
  handOver(ring: Ring): void
}
