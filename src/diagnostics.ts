// What a program can ask about one connection: numbers for machines, and a text for people.
import type { Engine } from './engine/engine.js'
import type { StatusField as Field } from './engine/layout.js'
import { native } from './engine/native.js'
import type { SendRing } from './engine/send_ring.js'
import { misuse, printableText } from './errors.js'
import { describe } from './options/given.js'
import { float64Length } from './options/typed_arrays.js'

/**
 * The places of an array that `readStatus` fills. What is not known is NaN: before the first answer to a PING, after the connection's
 * end, or because the system does not say it.
 *
 * Rates are means since the last reading of the same connection into the same array: two readers with an array each do not disturb
 * each other. At the first reading they are NaN.
 */
export const StatusField = Object.freeze({
  /** A number of the connection, which no other one of this thread has. */
  Connection: 0,
  /** When it was read: nanoseconds on the clock of `readClock`. */
  AtNs: 1,
  /** `rttUs`: how long the last answer to a PING took, in microseconds. */
  PingUs: 2,
  /** Messages received. */
  MessagesIn: 3,
  /** Messages accepted by `send` and `commit`. */
  MessagesOut: 4,
  /** Bytes received, headers and control frames included. */
  BytesIn: 5,
  /** Bytes that the socket took, headers and control frames included. */
  BytesOut: 6,
  /** Rate of `MessagesIn`. */
  MessagesInPerSecond: 7,
  /** Rate of `MessagesOut`. */
  MessagesOutPerSecond: 8,
  /** Rate of `BytesIn`. */
  BytesInPerSecond: 9,
  /** Rate of `BytesOut`. */
  BytesOutPerSecond: 10,
  /** `pendingBytes`: what was accepted and the system has not taken. */
  PendingBytes: 11,
  /** What the system took and the other side's system has not acknowledged, in bytes; on Windows only what is on its way. */
  UnacknowledgedBytes: 12,
  /** The system's own smoothed round trip, in microseconds; on macOS in steps of a millisecond. */
  KernelRttUs: 13,
  /** Its mean deviation, in microseconds; not on Windows. */
  KernelRttDeviationUs: 14,
  /** The shortest round trip that the system has seen, in microseconds; on Linux and Windows. */
  KernelRttMinUs: 15,
  /** TCP segments that were sent again; not on Windows. */
  Retransmits: 16,
  /** Bytes that were sent again; not on FreeBSD. */
  RetransmittedBytes: 17,
  /** How much may be on its way at once, as the system judges the network, in bytes. */
  CongestionWindowBytes: 18,
  /** How many places there are: the length that an array needs. */
  Count: 19
}) satisfies Readonly<Record<keyof typeof Field, Field>>

/** One of the numbers in {@link StatusField}. */
export type StatusField = (typeof StatusField)[keyof typeof StatusField]

/** @internal Fills `target`. Native code writes all numbers, because each that JavaScript reads may cost a box. */
export function readStatus(ring: SendRing, engine: Engine | undefined, target: Float64Array): Float64Array {
  const room = float64Length(target)
  if (room < StatusField.Count) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A status is read into a Float64Array of at least ${StatusField.Count} elements, not ${room < 0 ? describe(target) : `one of ${room}`}.`
    )
  }
  native.readStatus(target, ring.counters._words, ring.number, ring.pendingBytes)
  engine?.readTcpStatus(ring, target)
  return target
}

/** @internal What the text says beside the status. */
export interface Inspected {
  readonly kind: 'Peer' | 'Client'
  /** The id and the program's label; empty when there is neither yet. */
  readonly label: string
  readonly state: string
  readonly protocol: string
  readonly localAddress: string
  readonly remoteAddress: string
}

/** @internal A few lines for people. */
export function inspectText(ring: SendRing, engine: Engine | undefined, about: Inspected): string {
  const status = readStatus(ring, engine, new Float64Array(StatusField.Count))
  const of = (field: StatusField, unit: string): string => quantity(status[field], unit)
  const { counters } = ring
  return [
    // The other side chooses its id, and the path of a Unix domain socket.
    printableText(
      `${`${about.kind} ${about.label}`.trimEnd()}: ${about.state}, ${about.protocol}, ${about.localAddress || '?'} to ${about.remoteAddress || '?'}`
    ),
    `  in: ${of(StatusField.MessagesIn, 'messages')}, ${of(StatusField.BytesIn, 'B')}`,
    `  out: ${of(StatusField.MessagesOut, 'messages')}, ${of(StatusField.BytesOut, 'B')}, back-pressured ${quantity(counters.backPressured, 'times')}`,
    `  waiting: ${of(StatusField.PendingBytes, 'B')}, unacknowledged ${of(StatusField.UnacknowledgedBytes, 'B')}`,
    `  round trip: PING ${of(StatusField.PingUs, 'µs')}, system ${of(StatusField.KernelRttUs, 'µs')}, its deviation ${of(StatusField.KernelRttDeviationUs, 'µs')}, its shortest ${of(StatusField.KernelRttMinUs, 'µs')}`,
    `  sent again: ${of(StatusField.Retransmits, 'segments')}, ${of(StatusField.RetransmittedBytes, 'B')}; congestion window ${of(StatusField.CongestionWindowBytes, 'B')}`
  ].join('\n')
}

function quantity(value: number, unit: string): string {
  return Number.isNaN(value) ? 'unknown' : `${Math.round(value).toLocaleString('en-US')} ${unit}`
}
