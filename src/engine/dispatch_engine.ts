// What the dispatch sees of its engine.
import type { ServerEvents } from './connection.js'
import type { SendRing } from './send_ring.js'

/** What the dispatch asks of its engine: nothing for a message. */
export interface DispatchEngine {
  /** How many servers and connections use the engine. */
  readonly users: number
  /** Ends an engine that nothing uses any more. */
  close(): void
  /** A connection begins its life in this slot. */
  takeSlot(slot: number): SendRing
  /** The life in this slot has ended. */
  freeSlot(slot: number): void
  /** A server cannot accept because all slots are taken. */
  growFor(server: ServerEvents | undefined): void
  /** The last slab may go. */
  shrink(): void
}
