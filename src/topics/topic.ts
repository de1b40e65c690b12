// A topic: its members, and what is published to them.
import { debugLog } from '../debug_log.js'
import type { Audience } from '../engine/audience.js'
import { Code, Header } from '../engine/layout.js'
import { isCount } from '../engine/message_length.js'
import { type PoolBuffer, poolBuffer } from '../engine/pool.js'
import type { SendRing } from '../engine/send_ring.js'
import { unconnectedRing } from '../engine/unconnected_ring.js'
import { type MisuseCode, misuse, type ZerioError } from '../errors.js'
import { checkChannel, describe, type ResolvedTopicOptions } from '../options/options.js'
import { lengthOf } from '../options/typed_arrays.js'
import type { Peer } from '../peer.js'
import { Status } from '../status.js'
import { checkPeer } from './checks.js'
import { type Conflation, Lag } from './conflation.js'
import { TopicCounter, TopicCounters } from './counters.js'
import { Lateness } from './lateness.js'
import { MemberList, type Memberships } from './memberships.js'
import { Sharing } from './sharing.js'
import type { TopicOwner } from './topic_owner.js'

const NO_CLAIM = -1
/** No peer has this place. */
const NO_PLACE = -1

/**
 * A named set of peers that get the same messages; `server.topic` makes it. A peer can be in any number of topics, and leaves all of them
 * when its connection, or its session, ends. A peer gets the messages of all its topics and what `send` sends it in the order of the
 * calls. Publishing allocates nothing; see docs/topics.md.
 */
export class Topic {
  /** The name. */
  readonly name: string
  /** Counters of this topic. Reading them allocates nothing. They stay readable after its end. */
  readonly counters: TopicCounters
  /** @internal */
  readonly _number: number
  /** @internal */
  readonly _options: ResolvedTopicOptions
  readonly #owner: TopicOwner
  readonly #memberships: Memberships
  readonly #members = new MemberList()
  readonly #sharing: Sharing
  readonly #counts = new Float64Array(TopicCounter.Count)
  readonly #conflation: Conflation | undefined
  readonly #lateness: Lateness | undefined
  /** Members are closed that have more bytes waiting; 0 for none. */
  readonly #pendingBytesMax: number
  #isOpen = true
  #block: PoolBuffer | undefined
  /** The header of the claim that is open. */
  #claimed = NO_CLAIM
  #triesAgain = false

  /** @internal */
  constructor(
    owner: TopicOwner,
    number: number,
    name: string,
    options: ResolvedTopicOptions,
    conflation: Conflation | undefined
  ) {
    this.name = name
    this._number = number
    this._options = options
    this.#owner = owner
    this.#memberships = owner.memberships
    // A member of which more waits is closed, so no more may be accepted without a look.
    this.#sharing = new Sharing(owner.memberships, owner.sharing, options.pendingBytesMax)
    this.#conflation = conflation
    this.#pendingBytesMax = options.pendingBytesMax
    if (options.behindMs > 0) this.#lateness = new Lateness(options.behindMs, () => this.#closeLate())
    this.counters = new TopicCounters(
      this.#counts,
      conflation && (() => this.#settle(conflation, 0, this.size))
    )
  }

  /** How many members there are. */
  get size(): number {
    return this.#members.count
  }

  /** Whether {@link close} was not called, and the server was not stopped. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /**
   * Makes a peer a member; with `slow: 'latest'` it gets all present values first. Returns whether it was none and is one now: false also
   * for a peer that is closing or has left. Allocates only where the topic, or all topics together, have more members than before. Throws
   * `ZERIO_TOPIC_CLOSED`, `ZERIO_FOREIGN_PEER` for a peer of another server, `ZERIO_BAD_ARGUMENT`, `ZERIO_OUT_OF_MEMORY` with
   * `slow: 'latest'`, and `ZERIO_CLAIM_OPEN` when the peer has a claim open; then it is a member, and gets the values later.
   */
  add(peer: Peer): boolean {
    this.#check()
    if (!this.#isOurs(peer) || !peer.isOpen) return false
    const place = this.#memberships.placeFor(peer)
    if (this.#memberships.find(place, this._number) >= 0) return false
    const position = this.#members.count
    this.#conflation?.reserve(position)
    this.#memberships.add(place, this._number, this.#members)
    this.#sharing.reserve(position + 1)
    this.#lateness?.joined(position)
    if (this.#conflation?.joined(position)) this.#catchUp(this.#conflation, position)
    return true
  }

  /**
   * Ends a membership. Messages that the peer's ring has taken still arrive; values that it lacks do not. Returns whether it was a member.
   * Allocates nothing. Throws `ZERIO_BAD_ARGUMENT`.
   */
  delete(peer: Peer): boolean {
    checkPeer(peer)
    // Its number may be another topic's by now.
    if (!this.#isOpen) return false
    const row = this.#memberships.find(this.#placeOf(peer), this._number)
    if (row < 0) return false
    this._remove(row)
    return true
  }

  /** Whether a peer is a member. Allocates nothing. Throws `ZERIO_BAD_ARGUMENT`. */
  has(peer: Peer): boolean {
    checkPeer(peer)
    return this.#isOpen && this.#memberships.find(this.#placeOf(peer), this._number) >= 0
  }

  /**
   * Ends the topic: it has no members any more, and everything but `delete`, `has` and `close` throws `ZERIO_TOPIC_CLOSED`. The peers stay
   * connected, and are not informed. `server.topic` makes a new one of this name. A second call does nothing.
   */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    while (this.#members.count > 0) this._remove(this.#members.rows[this.#members.count - 1])
    this.#lateness?.end()
    this.#claimed = NO_CLAIM
    this.#owner.closed(this)
  }

  /**
   * Sends one message to all members: all of `bytes`, or `length` of them from `offset`. The bytes are copied before it returns. Returns
   * how many took it; what becomes of the others is the option `slow`. Allocates nothing. Throws `ZERIO_BAD_ARGUMENT`,
   * `ZERIO_TOPIC_CLOSED`, `ZERIO_WRONG_TOPIC` with `slow: 'latest'`, and `ZERIO_CLAIM_OPEN` when the program has a claim open on a
   * member's connection, after all others were sent to.
   *
   * @param channel 0 (default) to 127; classic peers have channel 0 alone.
   */
  publish(bytes: Uint8Array, channel?: number): number
  publish(bytes: Uint8Array, offset: number, length: number, channel?: number): number
  publish(bytes: Uint8Array, offset = 0, length?: number, channel = 0): number {
    return this.#publish(NO_PLACE, bytes, offset, length, channel)
  }

  /**
   * As {@link publish}, to all members but this one: for what a peer itself has said. A peer that is no member changes nothing. Throws
   * `ZERIO_FOREIGN_PEER`, too.
   */
  publishExcept(peer: Peer, bytes: Uint8Array, channel?: number): number
  publishExcept(peer: Peer, bytes: Uint8Array, offset: number, length: number, channel?: number): number
  publishExcept(peer: Peer, bytes: Uint8Array, offset = 0, length?: number, channel = 0): number {
    const place = this.#isOurs(peer) ? peer._place : NO_PLACE
    return this.#publish(place, bytes, offset, length, channel)
  }

  /**
   * The memory in which {@link claim} returns an offset: that of this topic alone, as long as the longest message. Made by the first use,
   * and committed as it is touched.
   */
  get buffer(): PoolBuffer {
    this.#block ??= poolBuffer(new ArrayBuffer(this.#owner.messageLengthMax))
    return this.#block
  }

  /** The memory of {@link buffer} as a DataView, at the same offsets. */
  get view(): DataView {
    return this.buffer.view
  }

  /**
   * Reserves `length` bytes (0 to the server's `maxMessageLength`) for a message that the program writes in place, once for all members.
   * Returns their offset in {@link buffer} and {@link view}, or the {@link SendStatus} `TooLarge`. `commit` or `abort` follows, in this
   * turn or a later one. The first call allocates the memory, later ones nothing. Throws `ZERIO_BAD_ARGUMENT`, `ZERIO_TOPIC_CLOSED`,
   * `ZERIO_WRONG_TOPIC`, and `ZERIO_CLAIM_OPEN` while one is open.
   *
   * @param channel 0 (default) to 127; classic peers have channel 0 alone.
   */
  claim(length: number, channel = 0): number {
    this.#checkNoKeys()
    if (channel !== 0) checkChannel(channel)
    if (!isCount(length))
      throw misuse('ZERIO_BAD_ARGUMENT', `A length must be a non-negative integer, not ${describe(length)}.`)
    if (this.#claimed !== NO_CLAIM)
      throw this.#mistake('ZERIO_CLAIM_OPEN', 'has a claim open; commit or abort it before the next claim.')
    if (length > this.buffer.length) return Status.TooLarge
    this.#claimed = length | (channel << Header.ChannelShift)
    return 0
  }

  /**
   * Publishes what was claimed, and returns how many took it, as {@link publish}. Allocates nothing. Throws `ZERIO_NO_CLAIM`,
   * `ZERIO_TOPIC_CLOSED`, and `ZERIO_CLAIM_OPEN` as {@link publish}.
   */
  commit(): number {
    this.#check()
    const header = this.#claimed
    if (header === NO_CLAIM) throw misuse('ZERIO_NO_CLAIM', 'There is no claim to commit; call claim first.')
    this.#claimed = NO_CLAIM
    return this.#deliver(NO_PLACE, this.buffer, 0, header & Header.LengthMask, header >>> Header.ChannelShift)
  }

  /** Gives the claim back, unsent. Allocates nothing. Throws `ZERIO_NO_CLAIM` and `ZERIO_TOPIC_CLOSED`. */
  abort(): void {
    this.#check()
    if (this.#claimed === NO_CLAIM)
      throw misuse('ZERIO_NO_CLAIM', 'There is no claim to abort; call claim first.')
    this.#claimed = NO_CLAIM
  }

  /**
   * Gives a key a new value: all of `bytes`, or `length` of them from `offset`. The bytes are copied before it returns. Members that lag
   * get the newest value when there is room; all others get this one now, as a message on channel 0: the key (`u32`, little-endian), then
   * the value. Returns how many took it now. Allocates nothing. Throws `ZERIO_BAD_ARGUMENT`, `ZERIO_TOPIC_CLOSED`, `ZERIO_WRONG_TOPIC`
   * without `slow: 'latest'`, and `ZERIO_CLAIM_OPEN` when the program has a claim open on a member's connection, after all others were
   * sent to; that one gets it later.
   *
   * @param key 0 to `keysMax - 1`.
   * @param bytes a value of 0 to `valueBytesMax` bytes.
   */
  set(key: number, bytes: Uint8Array): number
  set(key: number, bytes: Uint8Array, offset: number, length: number): number
  set(key: number, bytes: Uint8Array, offset?: number, length?: number): number {
    this.#check()
    const conflation = this.#conflation
    if (conflation === undefined)
      throw this.#mistake('ZERIO_WRONG_TOPIC', "has no keys; make it with slow: 'latest', or call publish.")
    if (!isCount(key) || key >= conflation.keysMax)
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `A key must be an integer from 0 to ${conflation.keysMax - 1} (keysMax - 1), not ${describe(key)}.`
      )
    // Throws for wrong types.
    const whole = offset === undefined && length === undefined
    if (whole) unconnectedRing.sendAll(bytes, 0)
    else unconnectedRing.sendPart(bytes, offset as number, length as number, 0)
    const size = whole ? lengthOf.call(bytes) : (length as number)
    if (size > conflation.valueBytesMax)
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `A value has at most ${conflation.valueBytesMax} bytes (valueBytesMax), not ${size}.`
      )
    conflation.keep(key, bytes, offset ?? 0, size)
    return this.#update(conflation, key)
  }

  /** @internal Ends a membership of this topic. */
  _remove(row: number): void {
    const memberships = this.#memberships
    const place = memberships.placeOf[row]
    this.#sharing.takeOut(row)
    const position = memberships.remove(row, this.#members)
    const last = this.#members.count
    this.#lateness?.departed(position, last)
    if (this.#conflation === undefined) return
    this.#settle(this.#conflation, position, position + 1)
    if (this.#conflation.lagAt(position) !== Lag.None) memberships.lagsOf[place]--
    this.#conflation.departed(position, last)
  }

  /** @internal The ring of a member has room again. */
  _drained(row: number): void {
    const position = this.#memberships.positionOf(row)
    if (this.#conflation !== undefined && this.#conflation.lagAt(position) !== Lag.None)
      this.#tryCatchUp(this.#conflation, position)
  }

  /** @internal Whether a member lags. */
  _lags(row: number): boolean {
    return (
      this.#conflation !== undefined && this.#conflation.lagAt(this.#memberships.positionOf(row)) !== Lag.None
    )
  }

  #publish(
    except: number,
    bytes: Uint8Array,
    offset: number,
    length: number | undefined,
    channel: number
  ): number {
    this.#checkNoKeys()
    // Wrong arguments throw before the first member is sent to, and also when there is none.
    if (length === undefined) unconnectedRing.sendAll(bytes, offset)
    else unconnectedRing.sendPart(bytes, offset, length, channel)
    return this.#deliver(except, bytes, offset, length, channel)
  }

  /** Without a length all bytes are sent, and `offset` is the channel, as in every method that sends. */
  #deliver(
    except: number,
    bytes: Uint8Array,
    offset: number,
    length: number | undefined,
    channel: number
  ): number {
    const { rows, count } = this.#members
    const { placeOf, peers, sharedOf } = this.#memberships
    const counts = this.#counts
    const whole = length === undefined
    const size = whole ? lengthOf.call(bytes) : length
    const onChannel = whole ? offset : channel
    const audience = this.#sharing.audienceFor(count, size, onChannel)
    const joins = audience?.isPending === false
    if (except !== NO_PLACE) this.#sharing.takeOut(this.#memberships.find(except, this._number))
    let taken = 0
    let claimOpen: unknown
    for (let i = audience?.count === count ? count : 0; i < count; i++) {
      const row = rows[i]
      const place = placeOf[row]
      if (place === except || (audience !== undefined && sharedOf[row] !== 0)) continue
      const peer = peers[place] as Peer
      const ring = peer._ring
      if (joins && this.#sharing.join(audience as Audience, ring, row)) continue
      try {
        const status = whole ? ring.sendAll(bytes, offset) : ring.sendPart(bytes, offset, length, channel)
        if (status === Status.Sent) taken++
        else this.#refused(peer, status)
        if (this.#pendingBytesMax > 0) this.#closeFull(peer, ring)
      } catch (error) {
        counts[TopicCounter.Skipped]++
        claimOpen = error
      }
    }
    if (audience !== undefined) taken += audience.publish(bytes, whole ? 0 : offset, size, onChannel)
    counts[TopicCounter.Published]++
    counts[TopicCounter.Delivered] += taken
    if (claimOpen !== undefined) throw claimOpen
    return taken
  }

  #refused(peer: Peer, status: number): void {
    // It leaves the topic when it has ended.
    if (status === Status.Closed) return
    this.#counts[TopicCounter.Skipped]++
    if (status === Status.BackPressured && this._options.slow === 'close') this.#close(peer)
  }

  #close(peer: Peer): void {
    this.#counts[TopicCounter.Closed]++
    debugLog?.(`topic ${this.name} closes peer ${peer._label}, which reads too slowly`)
    peer._close(Code.SlowConsumer, '')
  }

  #closeFull(peer: Peer, ring: SendRing): void {
    if (ring.pendingBytes <= this.#pendingBytesMax || ring.status !== Status.Sent) return
    // The system may take what this turn has written.
    ring.flush()
    if (ring.pendingBytes > this.#pendingBytesMax) this.#close(peer)
  }

  #closeLate(): void {
    const { rows, count } = this.#members
    const { placeOf, peers } = this.#memberships
    this.#lateness?.begin()
    for (let i = 0; i < count; i++) {
      const peer = peers[placeOf[rows[i]]] as Peer
      const ring = peer._ring
      if (ring.status === Status.Sent && this.#lateness?.isLate(i, ring)) this.#close(peer)
    }
  }

  // ---- The latest values

  #update(conflation: Conflation, key: number): number {
    const { rows, count } = this.#members
    const { placeOf, peers, sharedOf } = this.#memberships
    const counts = this.#counts
    const audience = this.#sharing.audienceFor(count, conflation.messageLength(key), 0)
    const joins = audience?.isPending === false
    let taken = 0
    // Of those that had a claim open when they were sent to last.
    let caughtUp = 0
    let claimOpen: unknown
    // The rest are sent from the copy, or wait for room.
    for (let i = (audience?.count ?? 0) + conflation.waiting === count ? count : 0; i < count; i++) {
      const row = rows[i]
      if (audience !== undefined && sharedOf[row] !== 0) continue
      const lag = conflation.lagAt(i)
      if (lag !== Lag.None) {
        if (lag === Lag.TriesAgain) this.#tryCatchUp(conflation, i)
        if (conflation.lagAt(i) === Lag.None) caughtUp++
        continue
      }
      const place = placeOf[row]
      const ring = (peers[place] as Peer)._ring
      if (joins && this.#sharing.join(audience as Audience, ring, row)) continue
      try {
        const status = conflation.send(ring, key)
        if (status === Status.Sent) taken++
        else if (status === Status.BackPressured) this.#begin(conflation, i, place, Lag.AwaitsDrain)
        else if (status !== Status.Closed) counts[TopicCounter.Skipped]++
      } catch (error) {
        this.#begin(conflation, i, place, Lag.TriesAgain)
        claimOpen = error
      }
    }
    if (audience !== undefined) taken += conflation.publish(audience, key)
    counts[TopicCounter.Published]++
    counts[TopicCounter.Delivered] += taken
    if (claimOpen !== undefined) {
      this.#tryAgain()
      throw claimOpen
    }
    return taken + caughtUp
  }

  #begin(conflation: Conflation, position: number, place: number, lag: Lag): void {
    conflation.begin(position, lag)
    this.#memberships.lagsOf[place]++
  }

  /** Counts what the members at these positions will not get. */
  #settle(conflation: Conflation, from: number, to: number): void {
    for (let i = from; i < to; i++) this.#counts[TopicCounter.Conflated] += conflation.settle(i)
  }

  #catchUp(conflation: Conflation, position: number): void {
    const memberships = this.#memberships
    const place = memberships.placeOf[this.#members.rows[position]]
    const lagged = conflation.lagAt(position) !== Lag.None
    this.#settle(conflation, position, position + 1)
    try {
      conflation.catchUp(position, (memberships.peers[place] as Peer)._ring)
    } catch (error) {
      this.#tryAgain()
      throw error
    } finally {
      this.#counts[TopicCounter.Delivered] += conflation.sent
      this.#counts[TopicCounter.Skipped] += conflation.skipped
      const lags = conflation.lagAt(position) !== Lag.None
      if (lags !== lagged) memberships.lagsOf[place] += lags ? 1 : -1
    }
  }

  /** As `#catchUp`, where no caller can mend an open claim: the topic tries again. */
  #tryCatchUp(conflation: Conflation, position: number): void {
    try {
      this.#catchUp(conflation, position)
    } catch {
      // `#catchUp` has asked for one more try.
    }
  }

  /** The program has a claim open on a member's connection, and no event says when it is not any more. */
  #tryAgain(): void {
    if (this.#triesAgain) return
    this.#triesAgain = true
    setImmediate(() => {
      this.#triesAgain = false
      const conflation = this.#conflation as Conflation
      for (let i = 0; i < this.#members.count; i++) {
        if (conflation.lagAt(i) === Lag.TriesAgain) this.#tryCatchUp(conflation, i)
      }
    })
  }

  // ---- Checks

  #placeOf(peer: Peer): number {
    return this.#owner.has(peer) ? peer._place : NO_PLACE
  }

  /** Whether it is a peer that is connected to the topic's server. Throws for one of another server. */
  #isOurs(peer: Peer): boolean {
    checkPeer(peer)
    if (this.#owner.has(peer)) return true
    // Whose it was is not known when it has left.
    if (peer._index < 0) return false
    throw this.#mistake(
      'ZERIO_FOREIGN_PEER',
      `is of another server than the peer ${peer.id}; each server has its own.`
    )
  }

  #checkNoKeys(): void {
    this.#check()
    if (this.#conflation !== undefined)
      throw this.#mistake('ZERIO_WRONG_TOPIC', "keeps the latest values of keys (slow: 'latest'); call set.")
  }

  #check(): void {
    if (!this.#isOpen)
      throw this.#mistake('ZERIO_TOPIC_CLOSED', 'is closed; server.topic makes a new one of this name.')
  }

  #mistake(code: MisuseCode, what: string): ZerioError {
    return misuse(code, `The topic ${describe(this.name)} ${what}`)
  }
}
