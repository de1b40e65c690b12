// What the send rings see of their engine.
import type { SendRing } from './send_ring.js'

/** What a ring needs of its engine. */
export interface RingEngine {
  readonly options: { readonly sendRingBytes: number; readonly maxMessageLength: number }
  readonly native: {
    copy(slab: number, offset: number, source: Uint8Array, sourceOffset: number, length: number): void
  }
  /** The ring has unsent bytes now. */
  markDirty(ring: SendRing): void
  /** Hands this ring's published bytes to the system. */
  flushOne(ring: SendRing): void
  /** The same at the end of the process, waiting for room. */
  handOver(ring: SendRing): void
}
