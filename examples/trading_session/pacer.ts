// Turns time into work: how many messages are due at a given rate, and who calls whom to find out.

import { readClock } from 'zerio'
import type { WaitStrategy } from './flags.js'
import { keepPolling } from './internals.js'

/** Counts messages against a clock in nanoseconds that the caller keeps up to date. */
export class Pacer {
  /** Typed arrays, because a field or a variable that holds a changing double makes garbage. */
  readonly nowNs = new Float64Array(1)
  private readonly startNs = new Float64Array(1)
  private taken = 0
  private running = false

  constructor(private readonly perSecond: number) {}

  readClock(): void {
    readClock(this.nowNs, 0)
  }

  /** How many messages are due. The first call starts the count. */
  due(): number {
    if (!this.running) {
      this.running = true
      this.startNs[0] = this.nowNs[0]
    }
    return (((this.nowNs[0] - this.startNs[0]) * this.perSecond) / 1e9 - this.taken) | 0
  }

  take(count: number): void {
    this.taken = (this.taken + count) | 0
  }
}

/** A timer of Node makes 300 to 400 bytes of garbage each time, so there are few: most turns come with a message. */
const turnMs = 4

/** Calls `turn` again and again; where the strategy is manual, it polls as well. Returns how to stop it. */
export function drive(wait: WaitStrategy, endpoint: { poll(): number }, turn: () => void): () => void {
  if (wait === 'manual') return keepPolling(endpoint, turn)
  const timer = setInterval(turn, turnMs)
  return () => clearInterval(timer)
}
