// Frames as they lie one behind the other in memory.
import type { Connection } from './connection.js'
import { Header } from './layout.js'
import type { PoolBuffer } from './pool.js'

/** Calls `call` for each whole frame from `at` to `end`. Headers that the program has overwritten lead nowhere outside. */
export function eachFrame(
  view: DataView,
  at: number,
  end: number,
  call: (start: number, length: number, channel: number) => void
): void {
  let start = at + Header.Bytes
  while (start <= end) {
    const header = view.getInt32(start - Header.Bytes, true)
    const length = header & Header.LengthMask
    if (start + length > end) return
    call(start, length, header >>> Header.ChannelShift)
    start += length + Header.Bytes
  }
}

/** Delivers one message, whose header lies in front of it, as its program takes messages. */
export function deliverAlone(
  connection: Connection,
  buffer: PoolBuffer,
  offset: number,
  length: number,
  channel: number
): void {
  if (connection._takesRuns) connection._deliverRun(buffer, offset - Header.Bytes, offset + length, 1)
  else connection._deliver(buffer, offset, length, channel)
}

/** How many whole frames there are. */
export function countFrames(view: DataView, at: number, end: number): number {
  let count = 0
  eachFrame(view, at, end, () => {
    count++
  })
  return count
}
