// The results of `zerio bench`, for people and for programs.
import { alignedTable, countText } from '../gc/text.js'
import type { PhaseResult } from './bench_client.js'
import type { PhaseName } from './bench_protocol.js'

export interface BenchResult {
  /** `host:port` of the listening side. */
  address: string
  messageBytes: number
  /** Of each phase. */
  seconds: number
  here: { wait: string; node: string }
  there: { wait: string; node: string }
  phases: PhaseResult[]
  /** Whether no phase was interrupted. */
  complete: boolean
}

const titles: Readonly<Record<PhaseName, string>> = {
  roundTrip: 'round trips',
  send: 'send',
  claim: 'claim'
}

/** Fits a terminal of 80 columns. */
export function benchText(result: BenchResult): string {
  const { address, messageBytes, here, there, phases } = result
  const lines = [
    `${countText(messageBytes)} bytes a message; here ${here.wait}, ${here.node}; ${address} ${there.wait}, ${there.node}`,
    ''
  ]
  const roundTripUs = phases.find((phase) => phase.roundTripUs !== null)?.roundTripUs
  if (roundTripUs) {
    const { p50, p99, p999, max } = roundTripUs
    const us = (value: number) => (value < 1000 ? value.toFixed(1) : countText(value))
    lines.push(
      `round trip  p50 ${us(p50)} us  p99 ${us(p99)} us  p99.9 ${us(p999)} us  max ${us(max)} us`,
      ''
    )
  }
  const rows = phases.map(({ name, perSecond, megabytesPerSecond, here, there }) => [
    titles[name],
    countText(perSecond),
    megabytesPerSecond.toFixed(1),
    ...[here, there].flatMap(({ heapBytesPerOperation, collections }) => [
      (heapBytesPerOperation ?? 0).toFixed(2),
      countText(collections.total)
    ])
  ])
  const head = ['', 'per second', 'MB/s', 'B each here', 'GCs', 'B each there', 'GCs']
  lines.push(...alignedTable([head, ...rows]))
  return lines.join('\n')
}
