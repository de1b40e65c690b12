// What events say in more than a number: greetings, reasons and texts. The program can have overwritten any word of them.
import { DisconnectReason } from '../reason.js'
import type { Hello } from './connection.js'
import { EndEvent, Greeted, GreetingEvent, Limit, Protocol } from './layout.js'
import type { Slab } from './pool.js'

/** The greeting that the event at this word is about; undefined when it names memory that is not there. */
export function helloOf(events: Int32Array, at: number, slabs: readonly Slab[]): Hello | undefined {
  const buffer = slabs[events[at + GreetingEvent.Slab]]?.buffer
  if (buffer === undefined) return undefined
  const origin = events[at + GreetingEvent.Origin]
  return {
    buffer,
    offset: events[at + GreetingEvent.Offset],
    idLength: events[at + GreetingEvent.IdBytes],
    credentialLength: events[at + GreetingEvent.CredentialBytes],
    classic: (origin & 0xff) === Protocol.Classic,
    inSession: (origin & Greeted.InSession) !== 0,
    hasTopics: (origin & Greeted.HasTopics) !== 0,
    lengthMax: events[at + GreetingEvent.LengthMax]
  }
}

/** The words that came with an ending, a request or an answer. */
export function textOf(events: Int32Array, at: number, slabs: readonly Slab[]): string {
  const offset = events[at + EndEvent.Offset]
  const length = events[at + EndEvent.Length]
  const buffer = slabs[events[at + EndEvent.Slab]]?.buffer
  if (buffer === undefined || length <= 0 || length > Limit.ReasonBytes) return ''
  return buffer.toString('utf8', offset, offset + length)
}

/** Why a connection broke, or could not be made. */
export function reasonOf(events: Int32Array, at: number, slabs: readonly Slab[]): DisconnectReason {
  const errno = events[at + EndEvent.Errno]
  return new DisconnectReason(events[at + EndEvent.Code], textOf(events, at, slabs), errno, false)
}
