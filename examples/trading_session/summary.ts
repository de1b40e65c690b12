// The end of a run: what was measured, and whether everything that was sent arrived.

import { legend, plainLine, type Row, tableOf, whole } from './format.js'
import type { Integrity } from './ipc.js'

export function summary(rows: Row[], withTable: boolean): string {
  const measured = rows.flatMap(({ name, window }) => (window ? [{ name, measured: window }] : []))
  const lines = ['Summary']
  if (measured.length < rows.length) lines.push('stopped before the measured window began')
  else {
    lines[0] += ` of ${(measured[0].measured.elapsedMs / 1000).toFixed(1)} s`
    const withCollections = measured.map((line) => ({ ...line, collections: line.measured.collections }))
    if (withTable) lines.push(tableOf(withCollections), legend)
    else lines.push(...withCollections.map((line) => plainLine(line.name, line.measured, line.collections)))
    lines.push("garbage: all V8 heap allocation, Node's event loop too, but not the reporting")
  }
  const total = (field: keyof Integrity) => whole(totalOf(rows, field))
  lines.push(
    `${total('ticks')} ticks received, ${total('ticksLost')} ticks lost, ${total('ticksOutOfOrder')} out of order`,
    `${total('orders')} orders sent, ${total('ordersUnacknowledged')} orders unacknowledged, ${total('ordersRejected')} rejected`
  )
  return `${lines.join('\n')}\n`
}

export function isWhole(rows: Row[]): boolean {
  const losses = ['ticksLost', 'ticksOutOfOrder', 'ordersUnacknowledged', 'ordersRejected'] as const
  return losses.every((field) => totalOf(rows, field) === 0)
}

function totalOf(rows: Row[], field: keyof Integrity): number {
  return rows.reduce((sum, { integrity }) => sum + (integrity?.[field] ?? 0), 0)
}
