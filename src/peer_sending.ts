// What a server's peer offers for sending: writing in place, and readings of its send ring.
import type { ConnectionCounters } from './counters.js'
import type { PoolBuffer } from './engine/pool.js'
import type { SendRing } from './engine/send_ring.js'
import { type SendStatus, Status } from './status.js'

/** The sending part of `Peer`, which programs use. */
export abstract class SendingPeer {
  /** @internal */
  _ring: SendRing

  /** @internal */
  constructor(ring: SendRing) {
    this._ring = ring
  }

  /**
   * The memory in which `claim` returns an offset. Many peers share it, so write only what you claimed. It may be all zeros some time
   * after the connection's end. In a session it may be another one after `clientResumed`.
   */
  get buffer(): PoolBuffer {
    return this._ring.buffer
  }

  /** The memory of {@link buffer} as a DataView, at the same offsets. */
  get view(): DataView {
    return this._ring.view
  }

  /** Whether messages can be sent; in a session also while it is suspended. */
  get isOpen(): boolean {
    return this._ring.status === Status.Sent
  }

  /** Counters of this connection. Reading them allocates nothing. They stay readable after the connection's end. */
  get counters(): ConnectionCounters {
    return this._ring.counters
  }

  /**
   * How much of what was accepted the system has not taken yet, in bytes, headers included; 0 to `sendRingBytes` and 511 more. In a
   * session: what the peer has not acknowledged yet. When a peer reads too slowly, it grows until `send` returns `BackPressured`.
   * Allocates nothing.
   */
  get pendingBytes(): number {
    return this._ring.pendingBytes
  }

  /**
   * How long the last answer to a PING took, in microseconds: from the moment in which the engine queued the PING behind what the ring
   * held until it read the PONG, so that what waits on the way counts. Heartbeats send one when the other side is silent for
   * `heartbeatMs`, and so does {@link ping}. NaN while no answer has come, and always with the classic protocol. Keeps its value after the connection's end.
   */
  get rttUs(): number {
    return this._ring.rttUs
  }

  /**
   * Sends one message: all of `bytes`, or `length` of them from `offset`. The bytes are copied before it returns. Allocates
   * nothing. Returns a {@link SendStatus}. Throws `ZERIO_BAD_ARGUMENT` for wrong types and `ZERIO_CLAIM_OPEN` while a claim is open.
   *
   * @param channel 0 (default) to 127; classic peers have channel 0 alone.
   */
  send(bytes: Uint8Array, channel?: number): SendStatus
  send(bytes: Uint8Array, offset: number, length: number, channel?: number): SendStatus
  send(bytes: Uint8Array, offset = 0, length?: number, channel = 0): SendStatus {
    return length === undefined
      ? this._ring.sendAll(bytes, offset)
      : this._ring.sendPart(bytes, offset, length, channel)
  }

  /**
   * Reserves `length` bytes (0 to `maxMessageLength`) for a message that the program writes in place. Returns their offset in
   * {@link buffer} and {@link view}, or a negative {@link SendStatus}. The bytes are the program's until `commit` or `abort`, which
   * must follow in the same turn. Allocates nothing. Throws `ZERIO_BAD_ARGUMENT` for wrong types and `ZERIO_CLAIM_OPEN` while a claim
   * is open.
   *
   * @param channel 0 (default) to 127; classic peers have channel 0 alone.
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
   * @param channel 0 (default) to 127; classic peers have channel 0 alone.
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

  /** Hands to the system now what was accepted for this peer, instead of at the end of the turn. Allocates nothing. */
  flush(): void {
    this._ring.flush()
  }
}
