// Drives a server or client with the wait strategy 'manual', and lets Node's own work in between from time to time.
import { readClock } from '../clock.js'

interface Pollable {
  poll(): number
}

/** An immediate makes some hundred bytes of garbage. */
const yieldNs = 20e6

/** Polls without a pause, and calls `turn` after each poll, until the returned function is called. */
export function keepPolling(endpoint: Pollable, turn: () => void = () => {}): () => void {
  const clock = new Float64Array(2)
  let polling = true
  const pollForAWhile = () => {
    readClock(clock, 1)
    do {
      if (!polling) return
      endpoint.poll()
      turn()
      readClock(clock, 0)
    } while (clock[0] - clock[1] < yieldNs)
    setImmediate(pollForAWhile)
  }
  setImmediate(pollForAWhile)
  return () => {
    polling = false
  }
}
