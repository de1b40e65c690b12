// Reads what an event says about the end of a connection.
import { DisconnectReason } from '../reason.js'
import { EndEvent, Limit } from './layout.js'
import type { Slabs } from './slabs.js'

/** The words of the other side that came with the event at `at`; empty when there are none. */
export function wordsOf(events: Int32Array, slabs: Slabs, at: number): string {
  const offset = events[at + EndEvent.Offset]
  const length = events[at + EndEvent.Length]
  const buffer = slabs.list[events[at + EndEvent.Slab]]?.buffer
  if (buffer === undefined || length <= 0 || length > Limit.ReasonBytes) return ''
  return buffer.toString('utf8', offset, offset + length)
}

/** Why the connection ended, when this side did not ask for it. */
export function reasonOf(events: Int32Array, slabs: Slabs, at: number): DisconnectReason {
  const words = wordsOf(events, slabs, at)
  return new DisconnectReason(events[at + EndEvent.Code], words, events[at + EndEvent.Errno], false)
}
