// How long the oldest byte that a topic's members have not taken has waited: asked by a timer, so that publishing pays nothing for it.
import type { SendRing } from '../engine/send_ring.js'
import { grown } from './memberships.js'

/** How often a limit is looked at within its time. */
const LOOKS = 4

export class Lateness {
  readonly #limitMs: number
  readonly #look: () => void
  #timer: NodeJS.Timeout | undefined
  // By position in the topic: when the member was marked, what its ring had sent then, and what it had not. All bytes of the mark are
  // taken when so many more are sent.
  #markedMs = new Float64Array(4)
  #sent = new Float64Array(4)
  #unsent = new Float64Array(4)

  /** @param look is called a few times within the limit, while there are members. */
  constructor(limitMs: number, look: () => void) {
    this.#limitMs = limitMs
    this.#look = look
  }

  /** The member at the last position is new. */
  joined(position: number): void {
    if (position === this.#unsent.length) {
      this.#markedMs = grown(this.#markedMs, 2 * position)
      this.#sent = grown(this.#sent, 2 * position)
      this.#unsent = grown(this.#unsent, 2 * position)
    }
    this.#unsent[position] = 0
    if (this.#timer === undefined) {
      this.#timer = setInterval(this.#look, this.#limitMs / LOOKS)
      this.#timer.unref()
    }
  }

  /** The member at this position has left, and that of the last position takes its place. */
  departed(position: number, last: number): void {
    this.#markedMs[position] = this.#markedMs[last]
    this.#sent[position] = this.#sent[last]
    this.#unsent[position] = this.#unsent[last]
    if (last === 0) this.end()
  }

  end(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Whether bytes have waited longer than the limit in this ring, which is open. */
  isLate(position: number, ring: SendRing, nowMs: number): boolean {
    const unsent = ring.unsentBytes()
    const sent = ring.counters.bytesSent
    const isMarked = this.#unsent[position] > 0
    if (unsent > 0 && isMarked && sent - this.#sent[position] < this.#unsent[position])
      return nowMs - this.#markedMs[position] >= this.#limitMs
    this.#unsent[position] = unsent
    this.#sent[position] = sent
    this.#markedMs[position] = nowMs
    return false
  }
}
