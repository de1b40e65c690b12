// Frames as they lie one behind the other in memory.
import { Header } from './layout.js'

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

/** How many whole frames there are. */
export function countFrames(view: DataView, at: number, end: number): number {
  let count = 0
  eachFrame(view, at, end, () => {
    count++
  })
  return count
}
