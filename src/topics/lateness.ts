// How long the oldest byte that a topic's members have not taken has waited: asked by a timer, so that publishing pays nothing for it.
import { grown } from '../engine/columns.js'
import type { SendRing } from '../engine/send_ring.js'

/** How often a limit is looked at within its time. */
const LOOKS = 4
/** Instead of a position: nothing was seen. */
const UNSEEN = -1

/** What `SendRing.locate` writes. */
const enum Place {
  HeadRound = 0,
  Head = 1,
  TailRound = 2,
  Tail = 3,
  Count = 4
}

export class Lateness {
  readonly #look: () => void
  readonly #lookMs: number
  #timer: NodeJS.Timeout | undefined
  /** Which of the last looks is replaced by this one: the oldest. */
  #at = 0
  // By position in the topic, and in it by look: where the tail of the member's ring was. What was appended before is late when the
  // head has not come there a limit later.
  #rounds = new Int32Array(4 * LOOKS)
  #tails = new Int32Array(4 * LOOKS)
  readonly #now = new Int32Array(Place.Count)

  /** @param look is called a few times within the limit, while there are members. It calls `begin`, and `isLate` for each member. */
  constructor(limitMs: number, look: () => void) {
    this.#lookMs = limitMs / LOOKS
    this.#look = look
  }

  /** The member at the last position is new. */
  joined(position: number): void {
    const first = position * LOOKS
    if (first === this.#tails.length) {
      this.#rounds = grown(this.#rounds, 2 * first)
      this.#tails = grown(this.#tails, 2 * first)
    }
    this.#tails.fill(UNSEEN, first, first + LOOKS)
    if (this.#timer === undefined) {
      this.#timer = setInterval(this.#look, this.#lookMs)
      this.#timer.unref()
    }
  }

  /** The member at this position has left, and that of the last position takes its place. */
  departed(position: number, last: number): void {
    this.#rounds.copyWithin(position * LOOKS, last * LOOKS, (last + 1) * LOOKS)
    this.#tails.copyWithin(position * LOOKS, last * LOOKS, (last + 1) * LOOKS)
    if (last === 0) this.end()
  }

  end(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** A look begins. */
  begin(): void {
    this.#at = (this.#at + 1) % LOOKS
  }

  /** Whether bytes have waited longer than the limit in this ring, which is open. Once in each look. */
  isLate(position: number, ring: SendRing): boolean {
    const at = position * LOOKS + this.#at
    const round = this.#rounds[at]
    const tail = this.#tails[at]
    const now = this.#now
    ring.locate(now)
    this.#rounds[at] = now[Place.TailRound]
    this.#tails[at] = now[Place.Tail]
    if (tail === UNSEEN) return false
    // A difference, because the numbers of the rounds begin again, too.
    const ahead = (now[Place.HeadRound] - round) | 0
    const isEmpty = now[Place.Head] === now[Place.Tail] && now[Place.HeadRound] === now[Place.TailRound]
    return !isEmpty && (ahead < 0 || (ahead === 0 && now[Place.Head] < tail))
  }
}
