// A server's handle of one connected peer.
import type { ConnectionCounters } from './counters.js'
import type { PoolBuffer } from './engine/pool.js'
import type { SendRing } from './engine/send_ring.js'
import { CloseCode, checkClose } from './reason.js'
import { type SendStatus, Status } from './status.js'

/** What {@link Peer} needs of its server. */
export interface PeerOwner {
  closePeer(peer: Peer, code: number, reason: string): void
  terminatePeer(peer: Peer): void
}

/**
 * One connected peer of a server. Handed to `clientConnected` and `onMessage`; valid as an object for ever, but after the
 * connection's end everything sent to it is refused with `Closed`, also when a peer with the same id connects again.
 */
export class Peer {
  /** The id that the client chose. */
  readonly id: string
  /** `'native'` or `'classic'`. */
  readonly protocol: 'native' | 'classic'
  /**
   * Address and port of the other side when it connected, as in `127.0.0.1:50000` or `[::1]:50000`; empty when it was gone before
   * it could be asked.
   */
  readonly remoteAddress: string
  /** Whatever the program wants to keep with the peer. zerio never looks at it. */
  userData: unknown = undefined
  /** @internal */
  readonly _ring: SendRing
  /** @internal Place in the server's list. */
  _index = -1
  /** @internal Whether messages are still delivered. */
  _receiving = true
  /** @internal What the program closed it with. */
  _closeCode = 0
  /** @internal */
  _closeText = ''
  readonly #owner: PeerOwner

  /** @internal */
  constructor(owner: PeerOwner, ring: SendRing, id: string, classic: boolean, remoteAddress: string) {
    this.#owner = owner
    this._ring = ring
    this.id = id
    this.protocol = classic ? 'classic' : 'native'
    this.remoteAddress = remoteAddress
  }

  /**
   * The memory in which `claim` returns an offset; tens of megabytes shared by many peers, so write only what you claimed. Some time
   * after the connection's end it may be all zeros.
   */
  get buffer(): PoolBuffer {
    return this._ring.buffer
  }

  /** The same memory as a DataView. */
  get view(): DataView {
    return this._ring.view
  }

  /** Whether messages can be sent. */
  get isOpen(): boolean {
    return this._ring.status === Status.Sent
  }

  /** Counters of this connection, without garbage. */
  get counters(): ConnectionCounters {
    return this._ring.counters
  }

  /**
   * How much of what was accepted the system has not taken yet, in bytes, headers included; up to `sendRingBytes` and 511 more. A
   * peer that reads too slowly lets it grow until `send` answers `BackPressured`. Allocates nothing.
   */
  get pendingBytes(): number {
    return this._ring.pendingBytes
  }

  /**
   * Sends one message: all of `bytes`, or `length` of them from `offset`. The bytes are copied before it returns. Allocates
   * nothing. Returns a {@link SendStatus}; throws `ZERIO_BAD_ARGUMENT` for wrong types and `ZERIO_CLAIM_OPEN` inside a claim.
   */
  send(bytes: Uint8Array, channel?: number): SendStatus
  send(bytes: Uint8Array, offset: number, length: number, channel?: number): SendStatus
  send(bytes: Uint8Array, offset = 0, length?: number, channel = 0): SendStatus {
    return length === undefined
      ? this._ring.sendAll(bytes, offset)
      : this._ring.sendPart(bytes, offset, length, channel)
  }

  /**
   * Reserves `length` bytes (0 to `maxMessageLength`) of a message to be written in place. Returns their offset in
   * {@link buffer} and {@link view}, or a negative {@link SendStatus}. The bytes are yours until `commit` or `abort`, which
   * must follow in the same turn. Allocates nothing. Throws `ZERIO_CLAIM_OPEN` when a claim is open already.
   */
  claim(length: number, channel = 0): number {
    return this._ring.claim(length, channel)
  }

  /** Sends what was claimed. `Closed` when the connection ended since; throws `ZERIO_NO_CLAIM` without a claim. */
  commit(): SendStatus {
    return this._ring.commit()
  }

  /** Gives the claim back, unsent. Throws `ZERIO_NO_CLAIM` without one. */
  abort(): void {
    this._ring.abort()
  }

  /**
   * Ends the connection: everything accepted so far is sent, then `code` and `reason`, within the server's `lingerMs`. Nothing
   * more is accepted or delivered. `clientDisconnected` follows in a later turn. A second call does nothing.
   *
   * @param code 1000 (default) or 4000 to 4999.
   * @param reason at most 256 bytes of UTF-8.
   */
  close(code: number = CloseCode.Normal, reason = ''): void {
    checkClose(code, reason)
    this.#owner.closePeer(this, code, reason)
  }
  /**
   * Ends the connection at once, with a reset: what was accepted and not sent is lost, and no reason is told. For a peer that does
   * not read; also after `close`, to end its waiting. `clientDisconnected` follows in a later turn, with `ZERIO_ABORTED` unless
   * `close` came first. A second call does nothing.
   */
  terminate(): void {
    this.#owner.terminatePeer(this)
  }
}
