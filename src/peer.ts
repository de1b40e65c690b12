// A server's handle of one connected peer.
import type { ConnectionCounters } from './counters.js'
import { misuse } from './errors.js'
import { describe, REASON_BYTES_MAX } from './options.js'
import type { PoolBuffer } from './pool.js'
import { CloseCode } from './reason.js'
import type { SendRing } from './send_ring.js'
import { type SendStatus, Status } from './status.js'

/** What {@link Peer} needs of its server. */
export interface PeerOwner {
  closePeer(peer: Peer, code: number, reason: string): void
  peerAddress(peer: Peer): string
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
  /** Whatever the program wants to keep with the peer. zerio never looks at it. */
  userData: unknown = undefined
  /** @internal */
  readonly _ring: SendRing
  /** @internal Place in the server's list. */
  _index = -1
  /** @internal Whether messages are still delivered. */
  _receiving = true
  readonly #owner: PeerOwner
  #remoteAddress: string | undefined

  /** @internal */
  constructor(owner: PeerOwner, ring: SendRing, id: string, classic: boolean) {
    this.#owner = owner
    this._ring = ring
    this.id = id
    this.protocol = classic ? 'classic' : 'native'
  }

  /** The memory in which `claim` returns an offset; tens of megabytes shared by many peers, so write only what you claimed. */
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

  /** Address and port of the other side, as in `127.0.0.1:50000` or `[::1]:50000`; empty when unknown. Allocates on first use. */
  get remoteAddress(): string {
    this.#remoteAddress ??= this.#owner.peerAddress(this)
    return this.#remoteAddress
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
}

function checkClose(code: unknown, reason: unknown): void {
  const allowed =
    Number.isInteger(code) &&
    (code === CloseCode.Normal ||
      ((code as number) >= CloseCode.ApplicationMin && (code as number) <= CloseCode.ApplicationMax))
  if (!allowed)
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A close code must be 1000 or an integer from 4000 to 4999, not ${describe(code)}.`
    )
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > REASON_BYTES_MAX) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A reason must be a string of at most ${REASON_BYTES_MAX} bytes, not ${describe(reason)}.`
    )
  }
}
