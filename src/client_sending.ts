// What a client offers beside its life: its name, sending, writing in place, and readings of its send ring.
import type { ClientEventMap } from './connecting/client_events.js'
import type { ConnectionCounters } from './counters.js'
import { readStatus } from './diagnostics.js'
import { Endpoint } from './endpoint.js'
import { TopicOpcode } from './engine/layout.js'
import type { PoolBuffer } from './engine/pool.js'
import { unconnectedRing } from './engine/unconnected_ring.js'
import { checkIdleTimeout, checkLiveOptions } from './options/live.js'
import { checkName, labelText } from './options/name.js'
import type { LiveOptions } from './options/options.js'
import type { SendStatus } from './status.js'
import { Subscriptions } from './topics/subscriptions.js'

/** The sending part of `ZerioClient`, which programs use. */
export abstract class SendingClient extends Endpoint<ClientEventMap> {
  /** @internal That of the present or last connection. */
  protected _ring = unconnectedRing
  /** @internal What the program has changed of the options, for later connections. */
  protected _changed: LiveOptions = {}
  /** @internal The id that it was started with last. */
  protected _peerId = ''
  /** @internal */
  protected readonly _subscriptions = new Subscriptions((name, error) =>
    queueMicrotask(() => this.emit('subscribeRefused', name, error))
  )
  #name: string | undefined

  /** As {@link Peer.name}; empty before the first `start` unless it is set. Stays over all connections. */
  get name(): string {
    return this.#name ?? this._peerId
  }
  /** See the getter. */
  set name(name: string | undefined) {
    checkName(name)
    this.#name = name
  }

  /** @internal For lines. */
  get _label(): string {
    return labelText(this.#name, this._peerId)
  }

  /**
   * The memory in which `claim` returns an offset; empty before the first connection. Other connections share it, so write only what
   * you claimed. Valid until the next connection is made.
   */
  get buffer(): PoolBuffer {
    return this._ring.buffer
  }

  /** The memory of {@link buffer} as a DataView, at the same offsets. */
  get view(): DataView {
    return this._ring.view
  }

  /**
   * How much of what was accepted the system has not taken yet, in bytes, headers included; 0 to `sendRingBytes` and 511 more. In a
   * session: what the server has not acknowledged yet. Of the present or last connection. Allocates nothing.
   */
  get pendingBytes(): number {
    return this._ring.pendingBytes
  }

  /** Counters of the present or last connection. Reading them allocates nothing. */
  get counters(): ConnectionCounters {
    return this._ring.counters
  }

  /** As {@link Peer.rttUs}, of the present or last connection. NaN before the first. */
  get rttUs(): number {
    return this._ring.rttUs
  }

  /**
   * Sends one message: all of `bytes`, or `length` of them from `offset`. The bytes are copied before it returns. Allocates
   * nothing. Returns a {@link SendStatus}. Throws `ZERIO_BAD_ARGUMENT` for wrong types and `ZERIO_CLAIM_OPEN` while a claim is open.
   *
   * @param channel 0 (default) to 127; classic servers have channel 0 alone.
   */
  send(bytes: Uint8Array, channel?: number): SendStatus
  send(bytes: Uint8Array, offset: number, length: number, channel?: number): SendStatus
  send(bytes: Uint8Array, offset = 0, length?: number, channel = 0): SendStatus {
    const ring = this._ring
    return length === undefined ? ring.sendAll(bytes, offset) : ring.sendPart(bytes, offset, length, channel)
  }

  /**
   * Reserves `length` bytes (0 to `maxMessageLength`) for a message that the program writes in place. Returns their offset in
   * {@link buffer} and {@link view}, or a negative {@link SendStatus}. The bytes are the program's until `commit` or `abort`, which
   * must follow in the same turn. Allocates nothing. Throws `ZERIO_BAD_ARGUMENT` for wrong types and `ZERIO_CLAIM_OPEN` while a claim
   * is open.
   *
   * @param channel 0 (default) to 127; classic servers have channel 0 alone.
   */
  claim(length: number, channel = 0): number {
    return this._ring.claim(length, channel)
  }

  /**
   * Reserves `count` messages of `length` bytes each, which lie one behind the other, each behind its header of `Frame.HeaderBytes`: the
   * headers are written already. Returns the offset of the first message in {@link buffer} and {@link view}, or a negative
   * {@link SendStatus}; the next message begins `length + Frame.HeaderBytes` further on. `commit` sends all of them, `abort` gives them
   * back, in the same turn. Allocates nothing. Cheaper than `claim` for each: there is one check and one `commit` for all.
   *
   * `TooLarge` when `length` is beyond `maxMessageLength`, or all of them with their headers beyond `sendRingBytes`. Throws
   * `ZERIO_BAD_ARGUMENT` for wrong types and `ZERIO_CLAIM_OPEN` while a claim is open.
   *
   * @param count 1 or more.
   * @param length 0 to `maxMessageLength`.
   * @param channel 0 (default) to 127; classic servers have channel 0 alone.
   */
  claimRun(count: number, length: number, channel = 0): number {
    return this._ring.claimRun(count, length, channel)
  }

  /**
   * Sends what was claimed. Returns `Sent`, or `Closed` when the connection has ended since. Allocates nothing. Throws
   * `ZERIO_NO_CLAIM` without a claim.
   */
  commit(): SendStatus {
    return this._ring.commit()
  }

  /** Gives the claim back, unsent. Allocates nothing. Throws `ZERIO_NO_CLAIM` without one. */
  abort(): void {
    this._ring.abort()
  }

  /**
   * Changes options: those that `options` has, of the present connection and of all later ones of this client. A time that is changed
   * counts from now. Throws `ZERIO_BAD_OPTION`, and then nothing has changed.
   */
  configure(options: LiveOptions): void {
    const checked = checkLiveOptions(options)
    this._changed = { ...this._changed, ...checked }
    this._engine?.configure(this._ring, checked)
  }

  /**
   * `configure({ idleTimeoutMs })`: the connection ends when nothing comes for so long from now on; 0 turns that off. In a handler of
   * `idle` it keeps the connection. Throws `ZERIO_BAD_OPTION`.
   *
   * @param idleTimeoutMs 0, or 10 to 86,400,000.
   */
  setIdleTimeout(idleTimeoutMs: number): void {
    this.configure(checkIdleTimeout(idleTimeoutMs))
  }

  /**
   * Asks the server to let this client into a topic, and resolves when it has: the messages of the topic come to `onMessage` as all others,
   * the first ones perhaps before. The request follows what was sent before. While the connection is broken and the client makes another
   * one, the request waits. The client asks again on each later connection of the option `reconnect` for what the server has accepted. In a
   * session it stays accepted over a break. Up to eight requests are on their way at the same time; others wait. Allocates.
   *
   * Rejects with `ZERIO_SUBSCRIBE_REFUSED`, `ZERIO_SUBSCRIBE_UNSUPPORTED` when the server is an older one or speaks classic,
   * `ZERIO_NOT_CONNECTED` when there is no connection, it ends for good before the answer, or a side has ended it by `end`, or
   * `ZERIO_BAD_ARGUMENT`.
   *
   * @param topic its name: 1 to 255 bytes of UTF-8 without control characters.
   */
  async subscribe(topic: string): Promise<void> {
    return this._subscriptions.ask(TopicOpcode.Subscribe, topic)
  }

  /**
   * Asks the server to take this client out of a topic, and resolves when it has: from then on no message of the topic comes. Also where
   * the client is in no such topic. Rejects as {@link subscribe}, but that the server does not refuse. Allocates.
   *
   * @param topic its name.
   */
  async unsubscribe(topic: string): Promise<void> {
    return this._subscriptions.ask(TopicOpcode.Unsubscribe, topic)
  }

  /** @internal */
  _topicAnswered(request: number, code: number, text: string): void {
    this._subscriptions.answered(request, code, text)
  }
  /** @internal */
  _halfClosed(who: 'this side' | 'the other side'): void {
    this._subscriptions.halfClosed(who)
  }

  /** Hands to the system now what was accepted for this connection, instead of at the end of the turn. Allocates nothing. */
  override flush(): void {
    this._ring.flush()
  }

  /**
   * As {@link Peer.readStatus}, of the present or last connection: the place `StatusField.Connection` tells one from the next. Throws
   * `ZERIO_BAD_ARGUMENT`.
   */
  readStatus(target: Float64Array): Float64Array {
    return readStatus(this._ring, this._engine, target)
  }
}
