// The topics of one server, by their names.
import type { AudienceEngine } from '../engine/audience.js'
import { misuse, ZerioError } from '../errors.js'
import {
  checkTopicName,
  describe,
  type ResolvedTopicOptions,
  resolveTopicOptions,
  type TopicOptions
} from '../options/options.js'
import type { Peer } from '../peer.js'
import { Conflation } from './conflation.js'
import { Memberships } from './memberships.js'
import { Topic } from './topic.js'
import type { TopicOwner } from './topic_owner.js'

export class Topics implements TopicOwner {
  readonly memberships = new Memberships()
  readonly #byName = new Map<string, Topic>()
  readonly #byNumber: (Topic | undefined)[] = []
  readonly #freeNumbers: number[] = []
  /** The topic of all peers, which has no name. */
  #everyone: Topic | undefined

  /**
   * @param messageLengthMax the server's option.
   * @param has whether a peer is connected to the server.
   * @param sharing the engine of its connections, when it can send many of them from one copy.
   */
  constructor(
    readonly messageLengthMax: number,
    readonly has: (peer: Peer) => boolean,
    readonly sharing: () => AudienceEngine | undefined = () => undefined
  ) {}

  /** The open topic of this name. */
  find(name: string): Topic | undefined {
    return this.#byName.get(name)
  }

  /** The open topic of this name, which is made when there is none. */
  topic(name: string, given: TopicOptions | undefined): Topic {
    checkTopicName(name)
    const found = this.#byName.get(name)
    if (found !== undefined && given === undefined) return found
    const resolved = resolveTopicOptions(given, this.messageLengthMax)
    if (found === undefined) return this.#make(name, resolved.options)
    for (const option of resolved.given) {
      if (resolved.options[option] === found._options[option]) continue
      throw misuse(
        'ZERIO_BAD_OPTION',
        `The topic ${describe(name)} is there already, and its option "${option}" is ${describe(found._options[option])}, not ${describe(resolved.options[option])}; close it first, or leave the options out.`
      )
    }
    return found
  }

  /** The topic of all peers. The first use makes it, of those that there are. */
  everyone(peers: readonly Peer[]): Topic {
    if (this.#everyone !== undefined) return this.#everyone
    const made = this.#make('', resolveTopicOptions(undefined, this.messageLengthMax).options)
    for (const peer of peers) made.add(peer)
    this.#everyone = made
    return made
  }

  /** A peer is connected. */
  joined(peer: Peer): void {
    this.#everyone?.add(peer)
  }

  /** A peer is not connected any more. */
  left(peer: Peer): void {
    const { memberships } = this
    if (peer._place < 0) return
    for (let row = memberships.firstOf(peer._place); row >= 0; row = memberships.firstOf(peer._place))
      this.#byNumber[memberships.topicOf(row)]?._remove(row)
    memberships.forget(peer)
  }

  /** A peer's ring has room again. */
  drained(peer: Peer): void {
    const { memberships } = this
    if (peer._place < 0 || memberships.lagsOf[peer._place] === 0) return
    const { _place: place } = peer
    const first = memberships.firstOf(place)
    const begin = memberships.beginOf(place)
    let row = begin
    let isFull = false
    do {
      const topic = this.#byNumber[memberships.topicOf(row)]
      topic?._drained(row)
      const lags = topic?._lags(row) === true
      const next = memberships.nextOf(row)
      row = next >= 0 ? next : first
      // The ring is full again. The topic behind this one has the next room first, so that none has to wait for ever.
      if (lags && !isFull) memberships.setBegin(place, row)
      isFull ||= lags
    } while (row !== begin)
  }

  /** The server stops. */
  closeAll(): void {
    for (const topic of [...this.#byName.values()]) topic.close()
  }

  closed(topic: { readonly name: string; readonly _number: number }): void {
    if (topic === this.#everyone) this.#everyone = undefined
    this.#byName.delete(topic.name)
    this.#byNumber[topic._number] = undefined
    this.#freeNumbers.push(topic._number)
  }

  #make(name: string, options: ResolvedTopicOptions): Topic {
    const conflation = options.slow === 'latest' ? conflationOf(options) : undefined
    const number = this.#freeNumbers.pop() ?? this.#byNumber.length
    const topic = new Topic(this, number, name, options, conflation)
    this.#byNumber[number] = topic
    this.#byName.set(name, topic)
    return topic
  }
}

function conflationOf({ keysMax, valueBytesMax }: ResolvedTopicOptions): Conflation {
  try {
    return new Conflation(keysMax, valueBytesMax)
  } catch (cause) {
    throw new ZerioError(
      'ZERIO_OUT_OF_MEMORY',
      `There is no memory for ${keysMax} values of ${valueBytesMax} bytes; lower keysMax or valueBytesMax, or raise the limits of the process.`,
      { cause }
    )
  }
}
