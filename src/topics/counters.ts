// What a topic counts.
import { Counters } from '../counters.js'

/** Places of the counters. */
export const enum TopicCounter {
  Published = 0,
  Delivered = 1,
  Skipped = 2,
  Conflated = 3,
  Closed = 4,
  Count = 5
}

const names = ['published', 'delivered', 'skipped', 'conflated', 'closed'] as const

/** Counters of one topic. They stay readable after its end. */
export class TopicCounters extends Counters<(typeof names)[number]> {
  readonly names = names
  readonly #settle: () => void

  /** @internal `settle` counts what lagging members will not get; it takes a while, so only those that need it call it. */
  constructor(words: Float64Array, settle: () => void = () => {}) {
    super(words)
    this.#settle = settle
  }

  /** @internal */
  override _settle(): void {
    this.#settle()
  }

  /** Calls of `publish`, `publishExcept`, `commit` and `set` that have published something, whatever the number of members. */
  get published(): number {
    return this._words[TopicCounter.Published]
  }
  /** Messages that members' rings took: one for each member, the values of snapshots and of catching up included. */
  get delivered(): number {
    return this._words[TopicCounter.Delivered]
  }
  /**
   * Messages that a member did not get: its ring had no room, it does not accept the length, it has no channels, or the program had a
   * claim open there.
   */
  get skipped(): number {
    return this._words[TopicCounter.Skipped]
  }
  /** Values that a lagging member did not get because a newer one of the same key took their place. */
  get conflated(): number {
    this.#settle()
    return this._words[TopicCounter.Conflated]
  }
  /** Members whose connection the topic has ended, because they read too slowly. */
  get closed(): number {
    return this._words[TopicCounter.Closed]
  }
}
