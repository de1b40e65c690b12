// A server's handle of one connected peer.
import { AsyncResource } from 'node:async_hooks'
import { addressesOf } from './connecting/addresses.js'
import { notConnected, PING_TIMEOUT_MS, Question } from './connecting/question.js'
import { inspectText, readStatus } from './diagnostics.js'
import type { Engine } from './engine/engine.js'
import { eachFrame } from './engine/frames.js'
import type { TopicOpcode } from './engine/layout.js'
import { callInOrder, Pausing, sayEndBehind } from './engine/pausing.js'
import type { PoolBuffer } from './engine/pool.js'
import type { SendRing } from './engine/send_ring.js'
import { halfCloseInSession } from './errors.js'
import { checkHandler } from './options/given.js'
import { checkIdleTimeout, checkLiveOptions } from './options/live.js'
import { checkName, labelText } from './options/name.js'
import type { LiveOptions } from './options/options.js'
import { SendingPeer } from './peer_sending.js'
import { CloseCode, checkClose, type DisconnectReason, notClosing, reasonOfEnd } from './reason.js'

/**
 * Called once for each message, on the stack of the engine, without garbage. The message is the `length` bytes of `buffer` from
 * `offset` on. They may be read until the handler returns; what is to stay longer must be copied.
 */
export type ServerMessageHandler = (
  peer: Peer,
  buffer: PoolBuffer,
  offset: number,
  length: number,
  channel: number
) => void

/**
 * Called once for all messages that lie one behind the other, on the stack of the engine, without garbage: `count` frames, which are the
 * bytes of `buffer` from `offset` to `end`. Each is a header of `Frame.HeaderBytes` bytes, an int32 of little end first, and the message
 * behind it: its length is `header & Frame.LengthMask`, its channel `header >>> Frame.ChannelShift`. They may be read until the handler
 * returns; what is to stay longer must be copied.
 */
export type ServerRunHandler = (
  peer: Peer,
  buffer: PoolBuffer,
  offset: number,
  end: number,
  count: number
) => void

/** Who gets the messages of a peer. */
interface Receiver {
  readonly onMessage: ServerMessageHandler | null | undefined
  readonly onRun: ServerRunHandler | null | undefined
}

/** What becomes of a connection; see {@link Peer.state}. */
export type PeerState = 'open' | 'suspended' | 'ended' | 'closing' | 'closed'

/** @internal What a {@link Peer} needs of its server. */
export interface PeerServer extends Receiver {
  readonly _copies: boolean
  _deliverCopy(peer: Peer, buffer: PoolBuffer, offset: number, length: number, channel: number): void
  _left(peer: Peer, reason: DisconnectReason): void
  _ended(peer: Peer): void
  _suspended(peer: Peer, reason: DisconnectReason): void
  _resumed(peer: Peer): void
  _drained(peer: Peer): void
  _topicAsked(peer: Peer, opcode: TopicOpcode, request: number, name: string): void
  emit(event: 'idle', peer: Peer): boolean
}

/**
 * One connected peer of a server; `clientConnected` and `onMessage` get it. The object may be kept, but after the connection's end
 * everything sent to it is refused with `Closed`, also when a peer with the same id connects again.
 */
export class Peer extends SendingPeer {
  /** The id that the client chose. */
  readonly id: string
  /** `'native'` or `'classic'`. */
  readonly protocol: 'native' | 'classic'
  /** A place for a value that the program keeps with the peer. zerio never reads it. */
  userData: unknown = undefined
  /** @internal Made in the scope of the server, whose async context it takes over. */
  readonly _scope = new AsyncResource('ZerioPeer', { requireManualDestroy: true })
  /** @internal Place in the server's list. */
  _index = -1
  /** @internal Place among the members of topics; -1 while it was in none. */
  _place = -1
  /** @internal Whether messages are delivered at once. */
  _receiving = true
  /** @internal Whether nothing is delivered any more. */
  _over = false
  /** @internal */
  _pausing: Pausing | undefined
  #name: string | undefined
  #remoteAddress: string
  #localAddress: string | undefined
  #suspended = false
  #ended = false
  /** @internal Whether it has a session. */
  _inSession = false
  readonly #server: PeerServer
  /** The server, or what has this peer's own handlers. */
  #receiver: Receiver
  readonly #engine: Engine
  #question: Question
  #closing = notClosing
  /** What the program has changed of the options, for the next connection of a session. */
  #changed: LiveOptions = {}

  /** @internal */
  constructor(
    server: PeerServer,
    engine: Engine,
    ring: SendRing,
    id: string,
    classic: boolean,
    remoteAddress: string
  ) {
    super(ring)
    this.#server = server
    this.#receiver = server
    this.#engine = engine
    this.#question = new Question(engine, ring)
    this.id = id
    this.protocol = classic ? 'classic' : 'native'
    this.#remoteAddress = remoteAddress
  }

  /**
   * Called for each message of this peer instead of the server's handlers; null gives them back to the server, unless there is an
   * {@link onRun} of its own, and is the default. May be replaced at any time. Throws `ZERIO_BAD_ARGUMENT`.
   */
  get onMessage(): ServerMessageHandler | null {
    return this.#receiver === this.#server ? null : (this.#receiver.onMessage ?? null)
  }
  /** See the getter. */
  set onMessage(handler: ServerMessageHandler | null | undefined) {
    if (handler != null) checkHandler('onMessage', handler)
    this.#receive(handler ?? null, this.onRun)
  }

  /**
   * Called for all messages of this peer that lie one behind the other, instead of the server's handlers and of {@link onMessage}; null
   * is the default. See {@link ServerRunHandler}. May be replaced at any time. Throws `ZERIO_BAD_ARGUMENT`.
   */
  get onRun(): ServerRunHandler | null {
    return this.#receiver === this.#server ? null : (this.#receiver.onRun ?? null)
  }
  /** See the getter. */
  set onRun(handler: ServerRunHandler | null | undefined) {
    if (handler != null) checkHandler('onRun', handler)
    this.#receive(this.onMessage, handler ?? null)
  }

  #receive(onMessage: ServerMessageHandler | null, onRun: ServerRunHandler | null): void {
    this.#receiver = onMessage === null && onRun === null ? this.#server : { onMessage, onRun }
  }

  /**
   * A label of the program's own for diagnostics: `inspectText` and the lines of `NODE_DEBUG=zerio` have it in front of the id. 1 to 256
   * characters; the default is the id, to which undefined leads back. Throws `ZERIO_BAD_ARGUMENT`.
   */
  get name(): string {
    return this.#name ?? this.id
  }
  /** See the getter. */
  set name(name: string | undefined) {
    checkName(name)
    this.#name = name
  }

  /** @internal For lines. */
  get _label(): string {
    return labelText(this.#name, this.id)
  }

  /**
   * Address and port of the other side when it connected, as in `127.0.0.1:50000` or `[::1]:50000`; `unix:` for one that came over a
   * Unix domain socket; empty when it was gone before it could be asked. In a session it is that of the last connection.
   */
  get remoteAddress(): string {
    return this.#remoteAddress
  }

  /**
   * Address and port of this side, in the form of {@link remoteAddress}; for a path as in `unix:/run/one.sock`. The system is asked the first time; empty when the connection
   * had ended then.
   */
  get localAddress(): string {
    if (this.#localAddress === undefined)
      this.#localAddress = this._index < 0 ? '' : addressesOf(this.#engine, this._ring.slot).local
    return this.#localAddress
  }

  /**
   * `closing` is the time from `close` or `terminate`, or from the end of the connection, until `clientDisconnected`; `suspended` the
   * time in which a session has no connection; `ended` the time from {@link end} until then, in which messages still come.
   */
  get state(): PeerState {
    if (this._index < 0) return 'closed'
    if (!this.isOpen) return this.#ended && !this._over ? 'ended' : 'closing'
    return this.#suspended ? 'suspended' : 'open'
  }

  /**
   * In a handler: the number of the message on this connection, from 1 on, as the other side has sent them. In a session it goes on over
   * breaks. 0 elsewhere: read it before the first `await`. Allocates nothing below 2^31.
   */
  get messageNumber(): number {
    return this.#engine.dispatch.messageNumber(this, this._ring.counters.messagesReceived)
  }

  /**
   * In a handler: when the engine read the message, or its last part, from the system, in milliseconds on the clock of
   * `performance.now()`. Exact to what 16 receives of other connections take. NaN elsewhere: read it before the first `await`. Allocates
   * nothing where V8 inlines the reading, as it mostly does in a handler that it has compiled; otherwise 16 bytes.
   */
  get receivedAt(): number {
    return this._readTime()[0]
  }

  /** @internal Keeps `receivedAt` short: where V8 inlines a getter, its number is no garbage. */
  _readTime(): Float64Array {
    return this.#engine.dispatch.readTime(this)
  }

  /**
   * Sends a PING at once and resolves with {@link rttUs} when it is answered. Calls that wait together share one
   * PING, and the time limit of the first. Allocates, as every promise does.
   *
   * Rejects with `ZERIO_PING_TIMEOUT`, `ZERIO_NOT_CONNECTED` when the connection is closing or ends before the answer,
   * `ZERIO_PING_UNSUPPORTED` with the classic protocol, or `ZERIO_BAD_ARGUMENT`.
   *
   * @param timeoutMs how long to wait; 1 to 3,600,000, default 10,000. The wait alone does not keep the process alive.
   */
  async ping(timeoutMs: number = PING_TIMEOUT_MS): Promise<number> {
    if (this.#suspended) throw notConnected('the session is suspended')
    return this.#question.ask(timeoutMs)
  }

  /**
   * Writes what is known of the connection into `target`, each number at its place in {@link StatusField}: totals and rates of
   * messages and bytes, what waits, round trips, and what the system's TCP knows. Two or three calls of the system; allocates nothing.
   * After the connection's end the totals stay, and what the system knew is NaN. Returns `target`. Throws `ZERIO_BAD_ARGUMENT`.
   *
   * Rates are means since the last reading of this connection into this array.
   *
   * @param target at least `StatusField.Count` elements, and the same one each time.
   */
  readStatus(target: Float64Array): Float64Array {
    return readStatus(this._ring, this.#engine, target)
  }

  /** What {@link readStatus} tells and the addresses, as some lines for people, which may change with any version. Allocates. */
  inspectText(): string {
    const { _label: label, state, protocol, localAddress, remoteAddress } = this
    const about = { kind: 'Peer', label, state, protocol, localAddress, remoteAddress } as const
    return inspectText(this._ring, this.#engine, about)
  }

  /**
   * Changes options of this connection: those that `options` has, until its end; in a session also for its next connections. A time
   * that is changed counts from now. Does nothing after the connection's end. Throws `ZERIO_BAD_OPTION`, and then nothing has changed.
   */
  configure(options: LiveOptions): void {
    const checked = checkLiveOptions(options)
    this.#changed = { ...this.#changed, ...checked }
    this.#engine.configure(this._ring, checked)
  }

  /**
   * `configure({ idleTimeoutMs })`: the connection ends when nothing comes for so long from now on; 0 turns that off. In a handler of the
   * server's `idle` event it keeps the connection. Throws `ZERIO_BAD_OPTION`.
   *
   * @param idleTimeoutMs 0, or 10 to 86,400,000.
   */
  setIdleTimeout(idleTimeoutMs: number): void {
    this.configure(checkIdleTimeout(idleTimeoutMs))
  }

  /**
   * Ends this side's direction: everything accepted so far is sent, then the end of the stream; `send` returns `Closed` from now on.
   * Messages of the peer are delivered until it ends, too, or closes; then `clientDisconnected` follows. A peer without `allowHalfOpen`
   * does so at once. A second call does nothing. Throws `ZERIO_HALF_CLOSE_IN_SESSION`.
   */
  end(): void {
    if (this._inSession) throw halfCloseInSession()
    if (!this.isOpen) return
    this.#ended = true
    this._ring.close()
    this.#question.halfClosed('this side')
    this.#engine.end(this._ring)
  }

  /**
   * Ends the connection: everything accepted so far is sent, then `code` and `reason`, within the server's `lingerMs`. Nothing
   * more is accepted or delivered. `clientDisconnected` follows in a later turn. A second call does nothing. Throws
   * `ZERIO_BAD_ARGUMENT`.
   *
   * @param code 1000 (default) or 4000 to 4999.
   * @param reason at most 256 bytes of UTF-8.
   */
  close(code: number = CloseCode.Normal, reason = ''): void {
    checkClose(code, reason)
    this._close(code, reason)
  }

  /**
   * Ends the connection at once, with a reset: what was accepted and not sent is lost, and the peer gets no reason. Use it for a
   * peer that does not read, also after `close`, to end the wait for it. `clientDisconnected` follows in a later turn, with
   * `ZERIO_ABORTED` unless `close` or the other side's end came first. A second call does nothing.
   */
  terminate(): void {
    this.#end()
    this.#engine.abort(this._ring)
  }

  /**
   * Delivers no message of this connection until {@link resume}, also when its own handler calls it and more messages have arrived
   * already. The engine stops to read, so that the system's buffers fill and the peer's `send` returns `BackPressured`. Nothing is lost
   * or reordered. Sending goes on; what only the other side can say (answers to `ping`, CLOSE, and in a session what it has received)
   * is read after {@link resume}. A second call, and one after the connection's end, does nothing. Allocates for what was read already:
   * at most `2 * receiveArenaBytes + maxMessageLength` bytes.
   *
   * A connection that breaks meanwhile ends nevertheless; what was read of it is delivered just before `clientDisconnected`.
   */
  pause(): void {
    if (this._over) return
    this._pausing ??= new Pausing(this, this._ring, this.#engine)
    this._pausing.pause()
  }

  /**
   * Ends a {@link pause}: the messages that wait are delivered in a later turn, or with `'manual'` by the next `poll`, then the engine
   * reads on. Does nothing when the connection is not paused, or has ended.
   */
  resume(): void {
    if (!this._over) this._pausing?.resume()
  }

  /** Whether {@link pause} was called, and {@link resume} was not. False after the connection's end. */
  get isPaused(): boolean {
    return this._pausing?.paused === true && !this._over
  }

  /** @internal Ends the connection with any code. */
  _close(code: number, reason: string): void {
    if (this._leave(code, reason)) this.#engine.native.close(this._ring.slot, code, reason)
  }

  /** @internal Nothing more is accepted or delivered. Returns false when that was so already. */
  _leave(code: number, reason: string): boolean {
    if (this._over) return false
    this.#closing = { code, text: reason }
    this.#end()
    return true
  }

  #end(): void {
    this._over = true
    this._receiving = false
    this._pausing = undefined
    this._ring.close()
  }

  /** @internal */
  _deliver(buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    const receiver = this.#receiver
    if (receiver.onMessage != null) receiver.onMessage(this, buffer, offset, length, channel)
    const server = this.#server
    if (server._copies === true && !this._over) server._deliverCopy(this, buffer, offset, length, channel)
  }

  /** @internal */
  get _takesRuns(): boolean {
    return this.#receiver.onRun != null
  }

  /** @internal */
  _deliverRun(buffer: PoolBuffer, offset: number, end: number, count: number): void {
    this.#receiver.onRun?.(this, buffer, offset, end, count)
    const server = this.#server
    if (server._copies !== true) return
    eachFrame(buffer.view, offset, end, (start, length, channel) => {
      if (!this._over) server._deliverCopy(this, buffer, start, length, channel)
    })
  }

  /** @internal */
  _suspended(reason: DisconnectReason): void {
    this.#question.ended(reason)
    if (this._index < 0 || this._over) return
    this.#suspended = true
    this.#server._suspended(this, reason)
  }

  /** @internal */
  _resumed(ring: SendRing, lengthMax: number): void {
    // The program has closed it in the same batch.
    const closed = this._over
    ring.open(false, lengthMax, true)
    const addresses = addressesOf(this.#engine, ring.slot)
    this.#engine.moveConnection(this._ring, ring, this)
    this._ring = ring
    this.#engine.configure(ring, this.#changed)
    this.#question = new Question(this.#engine, ring)
    this.#suspended = false
    this._pausing?.moveTo(this, ring)
    this.#remoteAddress = addresses.remote
    this.#localAddress = addresses.local
    if (!closed) {
      this.#server._resumed(this)
      return
    }
    ring.close()
    if (this.#closing === notClosing) this.#engine.abort(ring)
    else this.#engine.native.close(ring.slot, this.#closing.code, this.#closing.text)
  }

  /** @internal */
  _disconnected(closeCode: number, text: string, errno: number, unacknowledged: number): void {
    // Reported twice, which only a program that writes into the events can bring about.
    if (this._index < 0) return
    const local = this._over
    this.#end()
    const reason = reasonOfEnd(closeCode, text, errno, local, this.#closing, unacknowledged)
    this.#question.ended(reason)
    this.#server._left(this, reason)
  }

  /** @internal */
  _answered(): void {
    this.#question.answered()
  }
  /** @internal */
  _drained(): void {
    this.#server._drained(this)
  }
  /** @internal */
  _ended(): void {
    this.#question.halfClosed('the other side')
    if (!this._over) sayEndBehind(this._pausing, () => this.#server._ended(this))
  }
  /** @internal */
  _topicAsked(opcode: TopicOpcode, request: number, name: string): void {
    if (this._over) return
    callInOrder(this._pausing, () => this.#server._topicAsked(this, opcode, request, name))
  }
  /** @internal */
  _idle(): void {
    if (!this._over) this.#server.emit('idle', this)
  }
  /** @internal */
  _released(): void {
    this._scope.emitDestroy()
  }
  // Events of clients alone, which only a program that writes into the events can bring about.
  /** @internal */
  _reached(): void {}
  /** @internal */
  _connected(): void {}
  /** @internal */
  _connectFailed(): void {}
  /** @internal */
  _topicAnswered(): void {}
}
