// What server and client have in common: the engine behind them, one start and one stop at a time, whether they keep the process
// alive, and copies of messages for `message` listeners.
import { EventEmitter } from 'node:events'
import type { Starting } from './connecting/starting.js'
import type { Engine, EngineInfo } from './engine/engine.js'
import type { EngineUse } from './engine/registry.js'
import { misuse } from './errors.js'

/** @internal `running`: the server listens, or the client is connected. `reconnecting` is for clients alone. */
export type EndpointState = 'idle' | 'starting' | 'running' | 'reconnecting' | 'stopping'

/** The common part of `ZerioServer` and `ZerioClient`. Programs use these two. */
export abstract class Endpoint<Events extends Record<keyof Events, unknown[]>> extends EventEmitter<Events> {
  /** @internal */
  protected _state: EndpointState = 'idle'
  /** @internal The start under way, until `stop`: another one can follow while it still waits. */
  protected _starting: Starting | undefined
  /** @internal What the last call of `stop` returned. */
  protected _stopped: Promise<void> | undefined
  /** @internal */
  protected _engine: Engine | undefined
  /** @internal Whether it is to keep the process alive. */
  protected _referenced = true
  /** @internal Whether there may be `message` listeners: to ask the emitter for each message would cost more than all the rest. */
  _copies = false
  readonly #noun: 'server' | 'client'

  /** @internal */
  constructor(noun: 'server' | 'client') {
    super()
    this.#noun = noun
    this.#watchListeners()
  }

  /** @internal The uses of engines that `ref` and `unref` are about. */
  protected abstract _uses(): Iterable<EngineUse>

  /** Ends it: see `ZerioServer.stop` and `ZerioClient.stop`. */
  abstract stop(): Promise<void>

  /** Lets it keep the process alive, which is the default. Holds for later starts, too. Returns itself. */
  ref(): this {
    return this.#reference(true)
  }

  /**
   * Lets the process end without it: when nothing else keeps the process alive, the process ends, and what was accepted until then is
   * handed to the system. Holds for later starts, too. Returns itself.
   */
  unref(): this {
    return this.#reference(false)
  }

  #reference(referenced: boolean): this {
    this._referenced = referenced
    for (const use of this._uses()) use.referenced = referenced
    return this
  }

  /** The engine behind it: which backend, why, and its counters. Undefined before the first start. */
  get engine(): EngineInfo | undefined {
    return this._engine
  }

  /** Hands everything accepted so far, of all servers and clients that share this engine, to the system now. Allocates nothing. */
  flush(): void {
    this._engine?.sending.flushAll()
  }

  /**
   * Does I/O and runs handlers of all servers and clients that share this engine, on the caller's stack. Returns how many messages
   * were delivered; 0 before the first start. Meant for `waitStrategy: 'manual'`, allowed with all. An exception of a handler passes
   * through, and the next call goes on with the next message. Throws `ZERIO_POLL_IN_HANDLER` inside a handler. Allocates nothing.
   */
  poll(): number {
    return this._engine === undefined ? 0 : this._engine.dispatch.poll()
  }

  /** As in every EventEmitter. */
  override removeAllListeners(eventName?: unknown): this {
    // An argument that is undefined would be the name of an event.
    if (eventName === undefined) super.removeAllListeners()
    else super.removeAllListeners(eventName as never)
    if (eventName === undefined || eventName === 'newListener') this.#watchListeners()
    return this
  }

  /** `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** @internal One start: `run` begins at once, and leaves the state `running` when it resolves. */
  protected async _start(starting: Starting, run: () => Promise<void>): Promise<void> {
    if (this._state === 'stopping')
      throw misuse('ZERIO_STOPPING', `The ${this.#noun} is stopping; await stop() before start().`)
    if (this._state !== 'idle')
      throw misuse('ZERIO_ALREADY_STARTED', `The ${this.#noun} is started already; call stop() first.`)
    this._state = 'starting'
    this._starting = starting
    try {
      await run()
    } catch (error) {
      if (this._starting === starting) this._state = 'idle'
      throw error
    } finally {
      if (this._starting === starting) this._starting = undefined
    }
  }

  /** @internal Whether there are `message` listeners. */
  protected _wantsCopy(): boolean {
    this._copies = this.listenerCount('message' as never) > 0
    return this._copies
  }

  #watchListeners(): void {
    EventEmitter.prototype.on.call(this, 'newListener', (name: string | symbol) => {
      if (name === 'message') this._copies = true
    })
  }
}
