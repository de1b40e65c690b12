// What the send rings see of their engine.
import type { NativeEngine } from './native.js'

/** The audience in which a ring is. */
export interface RingAudience<Ring> {
  /** Whether some of its connections lack something. */
  readonly isPending: boolean
  /** How many bytes the connection at this place lacks. */
  unsentOf(place: number): number
  /** The ring has left, and takes over what its connection lacks. */
  leave(ring: Ring, place: number): void
}

/** What a ring needs of its engine. */
export interface RingEngine<Ring> {
  readonly options: { readonly sendRingBytes: number; readonly maxMessageLength: number }
  readonly native: Pick<NativeEngine, 'copy' | 'sendStraight'>
  /** The ring has unsent bytes now. */
  markDirty(ring: Ring): void
  /** Hands this ring's published bytes to the system. */
  flushOne(ring: Ring): void
  /** The same at the end of the process, waiting for room. */
  handOver(ring: Ring): void
}
