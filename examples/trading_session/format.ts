// One process's numbers as text: the cells of a table and the plain line that says the same.

import Table from 'cli-table3'
import type { Integrity, Measured } from './ipc.js'

/** What the parent knows of one process. */
export interface Row {
  name: string
  second: Measured | null
  window: Measured | null
  integrity: Integrity | null
}

const head = ['process', 'sent/s', 'recv/s', 'p50 us', 'p99 us', 'p99.9 us', 'max us', 'B/msg', 'GCs']

export const legend = 'us: round trips; B/msg: garbage per message; GCs: garbage collections'

export interface Line {
  name: string
  measured: Measured | null
  /** Not taken from `measured`, as they may be of a longer period. */
  collections: number
}

/** Leaves only the line below the head. */
const withoutFrame = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', 'left-mid': '', right: '', 'right-mid': '', middle: '', 'mid-mid': '' }
}

/** Fits a terminal of 80 columns at the default rates. */
export function tableOf(lines: Line[]): string {
  const table = new Table({
    head,
    style: { head: [], border: [], compact: true, 'padding-left': 1, 'padding-right': 1 },
    chars: withoutFrame,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right'))
  })
  for (const { name, measured, collections } of lines) {
    const cells = measured ? cellsOf(measured) : head.slice(2).map(() => '')
    table.push([name, ...cells, `${collections}`])
  }
  return table.toString()
}

function cellsOf(measured: Measured): string[] {
  const { p50, p99, p999, max } = measured.roundTripNs
  const roundTrips = [p50, p99, p999, max].map((ns) => (measured.roundTrips > 0 ? us(ns) : '-'))
  return [
    perSecond(measured.sent, measured),
    perSecond(measured.received, measured),
    ...roundTrips,
    perMessage(measured)
  ]
}

export function plainLine(name: string, measured: Measured, collections: number): string {
  const [sent, received, p50, p99, p999, max, garbage] = cellsOf(measured)
  const roundTrip =
    measured.roundTrips > 0 ? `  RTT p50 ${p50} us, p99 ${p99} us, p99.9 ${p999} us, max ${max} us` : ''
  return `${name}  sent ${sent}/s  received ${received}/s${roundTrip}  garbage ${garbage} B/msg  collections ${collections}`
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function perSecond(count: number, { elapsedMs }: Measured): string {
  return whole((count * 1000) / elapsedMs)
}

function us(ns: number): string {
  return ns < 1e6 ? (ns / 1000).toFixed(1) : whole(ns / 1000)
}

function perMessage({ garbageBytes, sent, received }: Measured): string {
  const messages = sent + received
  return messages > 0 ? (garbageBytes / messages).toFixed(2) : '-'
}
