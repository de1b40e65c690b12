// A client's connection: one attempt to connect and, when it succeeds, the connection until its slot is released.
import { AsyncResource } from 'node:async_hooks'
import { because, debugLog } from '../debug_log.js'
import type { Connection, Hello } from '../engine/connection.js'
import type { Engine } from '../engine/engine.js'
import { eachFrame } from '../engine/frames.js'
import { Code } from '../engine/layout.js'
import { callInOrder, Pausing, sayEndBehind } from '../engine/pausing.js'
import type { PoolBuffer } from '../engine/pool.js'
import { EngineUse } from '../engine/registry.js'
import type { SendRing } from '../engine/send_ring.js'
import { halfCloseInSession, type ZerioError } from '../errors.js'
import { CloseCode, type DisconnectReason, notClosing, reasonOfEnd } from '../reason.js'
import { Status } from '../status.js'
import { noSessions, stopped } from './failures.js'
import { Question } from './question.js'
import type { Contender, Race } from './race.js'

/**
 * Called once for each message, on the stack of the engine, without garbage. The message is the `length` bytes of `buffer` from
 * `offset` on. They may be read until the handler returns; what is to stay longer must be copied.
 */
export type ClientMessageHandler = (
  buffer: PoolBuffer,
  offset: number,
  length: number,
  channel: number
) => void

/** As {@link ServerRunHandler}, of a client. */
export type ClientRunHandler = (buffer: PoolBuffer, offset: number, end: number, count: number) => void

/** What a connection needs of its client. */
export interface ConnectionOwner {
  readonly onMessage: ClientMessageHandler | null | undefined
  readonly onRun: ClientRunHandler | null | undefined
  readonly _copies: boolean
  readonly _label: string
  _deliverCopy(buffer: PoolBuffer, offset: number, length: number, channel: number): void
  _connected(connection: ClientConnection, hello: Hello): void
  _connectError(reason: DisconnectReason, host: string): ZerioError
  _disconnected(connection: ClientConnection, reason: DisconnectReason): void
  _suspended(connection: ClientConnection, reason: DisconnectReason): void
  _released(connection: ClientConnection): void
  _topicAnswered(request: number, code: number, text: string): void
  _halfClosed(who: 'this side' | 'the other side'): void
  emit(event: 'drain' | 'idle' | 'ended'): boolean
}

/** Whose failure it is when no server has answered. */
const failures: Readonly<Record<number, 'address' | 'timeout'>> = {
  [Code.ConnectFailed]: 'address',
  [Code.ConnectTimeout]: 'timeout'
}

export class ClientConnection implements Connection, Contender {
  readonly _scope = new AsyncResource('ZerioClient', { requireManualDestroy: true })
  _receiving = true
  _over = false
  _pausing: Pausing | undefined
  established = false
  readonly use: EngineUse
  readonly question: Question
  /** Whether the program has ended this side's direction. */
  hasEnded = false
  #inSession = false
  #released = false
  #closing = notClosing
  #onReleased: (() => void) | undefined
  #whenReleased: Promise<void> | undefined

  constructor(
    readonly client: ConnectionOwner,
    readonly engine: Engine,
    readonly ring: SendRing,
    readonly host: string,
    readonly race: Race<ClientConnection>,
    referenced: boolean,
    readonly wantsSession: boolean
  ) {
    this.use = new EngineUse(engine, referenced)
    this.question = new Question(engine, ring)
  }

  greet(): void {
    this.engine.native.greet(this.ring.slot)
  }
  abandon(): Promise<void> {
    this.close()
    return this.ended()
  }
  close(code: number = CloseCode.Normal, text = ''): void {
    if (!this._over) this.#closing = { code, text }
    this.#end()
    if (!this.#released) this.engine.native.close(this.ring.slot, code, text)
  }
  /** Ends this side's direction. Throws in a session. */
  end(): void {
    if (this.#inSession) throw halfCloseInSession()
    if (this.ring.status !== Status.Sent) return
    this.hasEnded = true
    this.ring.close()
    this.question.halfClosed('this side')
    this.engine.end(this.ring)
    this.client._halfClosed('this side')
  }
  /** Goes on with the session of a suspended connection. */
  takeOver(old: ClientConnection): void {
    this.ring.takeOver(old.ring, this.engine.native.adopt)
    this._pausing = old._pausing
    this._pausing?.moveTo(this, this.ring)
    old._pausing = undefined
    // Its end is none for the program.
    old.established = false
    old.terminate()
  }
  /** Ends a suspended one, whose session the server does not know any more. */
  lose(): void {
    if (!this.#released) this.engine.native.close(this.ring.slot, CloseCode.SessionLost, '')
  }
  /** Ends it at once, with a reset. */
  terminate(): void {
    this.#end()
    if (!this.#released) this.engine.abort(this.ring)
  }
  /** Nothing more is accepted or delivered. */
  #end(): void {
    this._over = true
    this._receiving = false
    this._pausing = undefined
    this.ring.close()
  }
  get isPaused(): boolean {
    return this._pausing?.paused === true && !this._over
  }
  pause(): void {
    if (this._over) return
    this._pausing ??= new Pausing(this, this.ring, this.engine)
    this._pausing.pause()
  }
  resume(): void {
    if (!this._over) this._pausing?.resume()
  }
  _deliver(buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    const client = this.client
    if (client.onMessage != null) client.onMessage(buffer, offset, length, channel)
    if (client._copies === true && !this._over) client._deliverCopy(buffer, offset, length, channel)
  }
  get _takesRuns(): boolean {
    return this.client.onRun != null
  }
  _deliverRun(buffer: PoolBuffer, offset: number, end: number, count: number): void {
    const client = this.client
    client.onRun?.(buffer, offset, end, count)
    if (client._copies !== true) return
    eachFrame(buffer.view, offset, end, (start, length, channel) => {
      if (!this._over) client._deliverCopy(buffer, start, length, channel)
    })
  }
  _reached(): void {
    if (!this._over) this.race.reached(this)
  }
  _connected(hello: Hello): void {
    // Abandoned in the same batch.
    if (this._over) return
    if (this.wantsSession && !hello.inSession) {
      this.race.failed(this, noSessions(), 'answer')
      this.close()
      return
    }
    this.established = true
    this.#inSession = hello.inSession
    this.ring.open(hello.classic, hello.lengthMax, hello.inSession)
    this.race.succeeded(this)
    this.client._connected(this, hello)
  }
  _connectFailed(reason: DisconnectReason): void {
    debugLog?.(`a connection to ${this.host} could not be made: ${because(reason)}`)
    const failure = failures[reason.closeCode] ?? 'answer'
    this.race.failed(this, this.client._connectError(reason, this.host), failure)
  }
  _suspended(reason: DisconnectReason): void {
    this.question.ended(reason)
    if (this.established && !this._over) this.client._suspended(this, reason)
  }
  // Peers alone are moved to another connection, and ask for topics.
  _resumed(): void {}
  _topicAsked(): void {}
  _topicAnswered(request: number, code: number, text: string): void {
    if (this.established && !this._over)
      callInOrder(this._pausing, () => this.client._topicAnswered(request, code, text))
  }
  _disconnected(closeCode: number, text: string, errno: number, unacknowledged: number): void {
    const local = this._over
    this.#end()
    if (!this.established) return
    this.established = false
    const reason = reasonOfEnd(closeCode, text, errno, local, this.#closing, unacknowledged)
    this.question.ended(reason)
    this.client._disconnected(this, reason)
  }
  _answered(): void {
    this.question.answered()
  }
  _drained(): void {
    this.client.emit('drain')
  }
  _ended(): void {
    this.question.halfClosed('the other side')
    if (this._over) return
    sayEndBehind(this._pausing, () => {
      this.client._halfClosed('the other side')
      this.client.emit('ended')
    })
  }
  _idle(): void {
    if (!this._over) this.client.emit('idle')
  }
  _released(): void {
    this.#released = true
    // The session had a connection already, of which the program did not hear because it ended this one in the same batch.
    if (this.established)
      this._disconnected(this.#closing === notClosing ? Code.Aborted : this.#closing.code, '', 0, 0)
    this.race.failed(this, stopped(), 'answer')
    this.use.release()
    this.client._released(this)
    this.#onReleased?.()
    this._scope.emitDestroy()
  }
  /** Resolves when all that was accepted has been sent, or cannot be sent any more. Makes it happen with `manual`, too. */
  ended(): Promise<void> {
    if (this.#released) return Promise.resolve()
    if (this.#whenReleased === undefined) {
      // As for the end of a start.
      this.use.referenced = true
      this.engine.drive(1)
      this.#whenReleased = new Promise<void>((resolve) => {
        this.#onReleased = resolve
      }).then(() => this.engine.drive(-1))
    }
    return this.#whenReleased
  }
}
