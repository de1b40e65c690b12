// ZerioClient: one connection to a server.
import { AsyncResource } from 'node:async_hooks'
import { ReceivingClient } from './client_receiving.js'
import { type Addresses, addressesOf } from './connecting/addresses.js'
import { raceOf } from './connecting/attempt.js'
import type {
  ClientConnection,
  ClientMessageHandler,
  ClientRunHandler
} from './connecting/client_connection.js'
import type { ClientState } from './connecting/client_events.js'
import { checkClientAddress, Destination } from './connecting/destination.js'
import { type Failures, stopped } from './connecting/failures.js'
import type { Race } from './connecting/race.js'
import { BackOff, isLasting } from './connecting/reconnecting.js'
import { Starting, type StartOptions, withSignal } from './connecting/starting.js'
import { because, debugLog } from './debug_log.js'
import { inspectText } from './diagnostics.js'
import type { Hello } from './engine/connection.js'
import type { Engine } from './engine/engine.js'
import type { PoolBuffer } from './engine/pool.js'
import { EngineUse, engineFor } from './engine/registry.js'
import type { ZerioError } from './errors.js'
import type { ClientAddress } from './options/address.js'
import {
  type ClientOptions,
  checkPeerId,
  checkStartOptions,
  type ResolvedClientOptions,
  resolveClientOptions
} from './options/options.js'
import { CloseCode, checkClose, DisconnectReason } from './reason.js'

export type { ClientMessageHandler, ClientRunHandler } from './connecting/client_connection.js'
export type { ClientEventMap, ClientState, Reconnecting } from './connecting/client_events.js'

/**
 * A client of a {@link ZerioServer}, or with `protocol: 'classic'` of a C# Zerio server.
 *
 * ```js
 * const client = new ZerioClient({ host: 'localhost', port: 48654 })
 * client.onMessage = (buffer, offset, length) => console.log(buffer.toString('utf8', offset, offset + length))
 * await client.start('client-1')
 * client.send(Buffer.from('oui'))
 * ```
 */
export class ZerioClient extends ReceivingClient {
  /**
   * Options for clients that are made from now on in this thread and are not given them. An option given as undefined counts as not
   * given. The constructor checks them, and throws `ZERIO_BAD_OPTION` for a mistake. Default: none.
   */
  static defaults: ClientOptions = {}

  /**
   * Called for each message; see {@link ClientMessageHandler}. Without it and without a `message` listener messages are dropped. May be
   * replaced at any time.
   */
  onMessage: ClientMessageHandler | null | undefined = null

  /**
   * Called for all messages that lie one behind the other, instead of {@link onMessage}; see {@link ClientRunHandler}. May be replaced at
   * any time. Default: null.
   */
  onRun: ClientRunHandler | null | undefined = null

  readonly #options: ResolvedClientOptions
  readonly #destination: Destination
  /** The attempts of the start under way, once there are addresses. */
  #race: Race<ClientConnection> | undefined
  /** Connections that end, after `disconnected` or a stop and until their slots are released. */
  readonly #leaving = new Set<ClientConnection>()
  #serverId = ''
  #addresses: Addresses = { local: '', remote: '' }
  #signal: AbortSignal | undefined
  readonly #failures: Failures
  readonly #backOff: BackOff | undefined
  #inContextOfStart: (run: () => void) => void = (run) => run()
  /** How often the program has called `start` or `stop`: what is to be emitted later concerns the last of them alone. */
  #calls = 0
  /** Why the client tries no more, from then until its suspended session has ended. */
  #lastError: ZerioError | undefined
  /** The use of the engine while the client connects again. */
  #again: EngineUse | undefined

  /**
   * Checks its arguments; memory and sockets are taken by {@link start}. Throws `ZERIO_BAD_ARGUMENT`, `ZERIO_BAD_OPTION` and
   * `ZERIO_ADDRESS_UNSUPPORTED`.
   *
   * @param address a port on this machine, host and port, or the path of a Unix domain socket.
   * @param options see docs/options.md.
   */
  constructor(address: ClientAddress, options?: ClientOptions) {
    super('client')
    const checked = checkClientAddress(address)
    this.#options = resolveClientOptions(options, new.target.defaults, checked)
    const { connectTimeoutMs, reconnect, localAddress } = this.#options
    this.#destination = new Destination(checked, localAddress, connectTimeoutMs)
    this.#failures = this.#destination.failures
    this.#backOff = reconnect === undefined ? undefined : new BackOff(reconnect)
  }

  /**
   * Connects and introduces itself, within `connectTimeoutMs`. When the host has several addresses, attempts overlap: the next address
   * is tried when the one before has failed, or has not answered for 250 ms; the first connection is used and the others are
   * abandoned. Can be called again after `stop`, after `disconnected` without `reconnect`, and after `reconnectFailed`.
   *
   * Rejects with the system's code (`ECONNREFUSED`, `ENOTFOUND`, …; `errors` has one error for each address when there were several),
   * the server's refusal (`ZERIO_DUPLICATE_PEER_ID`, `ZERIO_SERVER_FULL`, `ZERIO_UNAUTHORIZED`, …), `ZERIO_CONNECT_TIMEOUT`,
   * `ZERIO_HANDSHAKE_FAILED`, `ZERIO_BAD_PEER_ID`, `ZERIO_BAD_ARGUMENT`, `ZERIO_BAD_LOOKUP`, `ZERIO_ALREADY_STARTED`, `ZERIO_STOPPING`,
   * `ZERIO_OUT_OF_MEMORY`, `ABORT_ERR` when the signal is aborted, or `ZERIO_STOPPED` when `stop` is called before `connected`.
   *
   * With the option `reconnect` the client connects again whenever the connection breaks, until `stop`; and with `reconnect.first`
   * already `start` tries until it is connected.
   *
   * @param peerId the name under which the server knows this client; 1 to 255 bytes of UTF-8 without control characters, or of
   * printable ASCII for classic.
   */
  async start(peerId: string, options?: StartOptions): Promise<void> {
    checkPeerId(peerId, this.#options.protocol === 'classic')
    const { signal } = checkStartOptions(options)
    const starting = new Starting(this.#options.connectTimeoutMs)
    await this._start(starting, async () => {
      this._peerId = peerId
      this.#signal = signal
      this.#calls++
      if (this.#backOff !== undefined) {
        this.#backOff.reset()
        // What a handler of a connection enters into its async context is not that of the next connection.
        this.#inContextOfStart = AsyncResource.bind((run: () => void) => run())
      }
      await this.#untilAborted(starting, () => this.#firstConnect(starting))
    })
  }

  /** Runs a part of a start, until the signal is aborted. */
  #untilAborted(starting: Starting, run: () => Promise<void>): Promise<void> {
    const abort = (error: ZerioError): void => {
      // A `connected` handler may abort it, before `run` has resolved.
      if (this._starting === starting && this._state !== 'running') void this.#end(error)
    }
    return withSignal(this.#signal, abort, run)
  }

  async #firstConnect(starting: Starting): Promise<void> {
    try {
      await this.#connect(starting, true)
    } catch (error) {
      starting.check()
      const { code } = error as ZerioError
      if (this.#options.reconnect?.first !== true || isLasting(code)) throw error
      await this.#connectAgain(starting, error as ZerioError, true)
    }
  }

  /** @param isStart whether the program waits for it: then it keeps the process alive, and goes on without `poll`. */
  async #connect(starting: Starting, isStart: boolean): Promise<void> {
    const found = this.#destination.candidates((name) =>
      starting.lookup(name, this.#options.lookup, () => this.#failures.lookupTimeout())
    )
    const hosts = found instanceof Promise ? await found : found
    starting.check()
    const engine = engineFor(this.#options)
    const use = new EngineUse(engine, isStart)
    this._engine = engine
    if (isStart) engine.drive(1)
    try {
      await starting.wait(this.#connectToAny(engine, hosts, starting))
    } finally {
      if (this._starting === starting) this.#race = undefined
      if (isStart) engine.drive(-1)
      use.release()
    }
  }

  /** Tries until it is connected. Rejects with the last error when there were enough attempts, or when another one is of no use. */
  async #connectAgain(
    starting: Starting,
    reason: DisconnectReason | ZerioError,
    isStart: boolean
  ): Promise<void> {
    const backOff = this.#backOff as BackOff
    let last = reason
    for (let next = backOff.next(); next !== undefined; next = backOff.next()) {
      const event = { ...next, reason: last }
      debugLog?.(`client ${this._label} tries again in ${next.delayMs} ms: ${because(last)}`)
      this.#announce(() => this.emit('reconnecting', event))
      await starting.pauseMs(next.delayMs)
      try {
        return await this.#connect(starting, isStart)
      } catch (error) {
        starting.check()
        last = error as ZerioError
        if (isLasting(last.code)) break
      }
    }
    throw last instanceof DisconnectReason ? this.#failures.ended(last) : last
  }

  /** Runs `emit` in a microtask, where an exception of a handler disturbs nothing else, unless `start` or `stop` comes first. */
  #announce(emit: () => void): void {
    const calls = this.#calls
    queueMicrotask(() => {
      if (this.#calls === calls && this.#signal?.aborted !== true) emit()
    })
  }

  /** The connection broke: begins to connect again. */
  #reconnect(reason: DisconnectReason): void {
    const starting = new Starting(this.#options.connectTimeoutMs, false)
    this._starting = starting
    this._state = 'reconnecting'
    this.#backOff?.broken()
    // While it waits, too, the engine stays, and keeps the process alive.
    const use = new EngineUse(engineFor(this.#options), this._referenced)
    this.#again = use
    this.#untilAborted(starting, () => this.#connectAgain(starting, reason, false))
      .then(
        () => {
          if (this._starting === starting) this._starting = undefined
        },
        (error: ZerioError) => {
          if (this._starting !== starting) return
          if (this._resumable === undefined) return this.#giveUp(error)
          // Without its session the client begins anew, unless it has tried often enough. `disconnected` comes first.
          const isAnswered = error.code === 'ZERIO_SESSION_LOST'
          this.#lastError = isAnswered ? undefined : error
          // The server is there.
          if (isAnswered) this.#backOff?.reset()
          this._resumable.lose()
        }
      )
      .finally(() => {
        if (this.#again === use) this.#again = undefined
        use.release()
      })
  }

  #giveUp(error: ZerioError): void {
    debugLog?.(`client ${this._label} gives up: ${because(error)}`)
    this._starting = undefined
    this._state = 'idle'
    this._subscriptions.ended(error.message)
    this.#announce(() => this.emit('reconnectFailed', error))
  }

  /** @internal */
  protected override *_uses(): Iterable<EngineUse> {
    if (this.#again !== undefined) yield this.#again
    const all = [this._connection, this._resumable, ...this.#leaving, ...(this.#race?.contenders ?? [])]
    for (const one of all) if (one !== undefined) yield one.use
  }

  /** Whether there is a connection. While a session is suspended there is none, but messages are accepted. */
  get isConnected(): boolean {
    return this._state === 'running'
  }

  /** What the client does. From a break until it is connected again, or gives up, it is `reconnecting`; in a session, `suspended`. */
  get state(): ClientState {
    if (this._state === 'running') return 'connected'
    return this._resumable !== undefined && this._state === 'reconnecting' ? 'suspended' : this._state
  }

  /** The id of the server; empty before the first connection, and with classic. */
  get serverId(): string {
    return this.#serverId
  }

  /**
   * Address and port of this side, as in `127.0.0.1:50000` or `[::1]:50000`, of the present or last connection; `unix:` for a path;
   * empty before the first.
   */
  get localAddress(): string {
    return this.#addresses.local
  }

  /** Address and port of the server, in the form of {@link localAddress}; for a path as in `unix:/run/one.sock`. */
  get remoteAddress(): string {
    return this.#addresses.remote
  }

  /** As {@link Peer.inspectText}, of the present or last connection. */
  inspectText(): string {
    const { protocol } = this.#options
    const { local: localAddress, remote: remoteAddress } = this.#addresses
    const { state, _label: label } = this
    const about = { kind: 'Client', label, state, protocol, localAddress, remoteAddress } as const
    return inspectText(this._ring, this._engine, about)
  }

  /**
   * Sends what was accepted within `lingerMs`, then `code` and `reason`, and closes the connection. Resolves when it is closed; never
   * rejects. A `start` under way rejects with `ZERIO_STOPPED`, and the client does not connect again. Does nothing when not started.
   * Throws `ZERIO_BAD_ARGUMENT`.
   *
   * @param code 1000 (default) or 4000 to 4999. Classic servers get none.
   * @param reason at most 256 bytes of UTF-8.
   */
  override stop(code: number = CloseCode.Normal, reason = ''): Promise<void> {
    checkClose(code, reason)
    if (this._state === 'stopping') return this._stopped as Promise<void>
    return this.#end(stopped(), code, reason)
  }

  /**
   * Ends the connection at once, with a reset: what was accepted and not sent is lost, and the server gets no reason. Use it for a
   * server that does not read, also after `stop`, to end the wait for it. `disconnected` follows in a later turn, with
   * `ZERIO_ABORTED` unless `stop` or the other side's end came first. A client that is not connected does as with `stop`.
   */
  terminate(): void {
    for (const one of this.#leaving) one.terminate()
    if (this._state === 'running') this._connection?.terminate()
    this._resumable?.terminate()
    void this.stop()
  }

  /** @param error what a start under way rejects with. */
  #end(error: ZerioError, code: number = CloseCode.Normal, reason = ''): Promise<void> {
    const connection = this._line
    const race = this.#race
    debugLog?.(`client ${this._label} stops: ${error.code}`)
    this.#calls++
    this._subscriptions.ended('the client was stopped')
    this._resumable = this.#lastError = undefined
    // From `connected` on the start has succeeded.
    if (this._state !== 'running') this._starting?.abandon(error)
    this._starting = this.#race = undefined
    if (connection === undefined && race === undefined) {
      // Resolving a host name, or idle; the last connection may still send what it accepted.
      this._state = 'idle'
      return this.#allEnded()
    }
    this._state = 'stopping'
    this._stopped = this.#stop(connection, race, code, reason)
    return this._stopped
  }

  async #stop(
    connection: ClientConnection | undefined,
    race: Race<ClientConnection> | undefined,
    code: number,
    reason: string
  ): Promise<void> {
    connection?.close(code, reason)
    if (connection !== undefined) this.#leaving.add(connection)
    await Promise.all([race?.stop(), this.#allEnded()])
    this._connection = undefined
    this._state = 'idle'
  }

  /** Resolves when nothing is left of connections that end. */
  async #allEnded(): Promise<void> {
    await Promise.all(Array.from(this.#leaving, (one) => one.ended()))
  }

  #connectToAny(engine: Engine, hosts: readonly string[], starting: Starting): Promise<void> {
    const race = raceOf(
      {
        owner: this,
        engine,
        destination: this.#destination,
        options: this.#options,
        peerId: this._peerId,
        referenced: this._referenced,
        resumes: this._resumable?.ring.slot ?? -1,
        remainingMs: () => starting.remainingMs
      },
      hosts
    )
    this.#race = race
    return race.run()
  }

  /** @internal */
  _connectError(reason: DisconnectReason, host: string): ZerioError {
    return this.#failures.attempt(reason, host)
  }
  /** @internal */
  _connected(connection: ClientConnection, hello: Hello): void {
    const suspended = this._resumable
    this._connection = connection
    this._resumable = this.#race = undefined
    if (suspended !== undefined) {
      connection.takeOver(suspended)
      this.#leaving.add(suspended)
    }
    this._ring = connection.ring
    connection.engine.configure(connection.ring, this._changed)
    this.#serverId = hello.buffer.toString('utf8', hello.offset, hello.offset + hello.idLength)
    this._state = 'running'
    this.#addresses = addressesOf(connection.engine, connection.ring.slot)
    this.#backOff?.connected()
    const how = suspended === undefined ? 'connected' : 'resumed'
    debugLog?.(`client ${this._label} is ${how} to ${this.#serverId}, from ${this.localAddress}`)
    this._subscriptions.connected(connection, hello.hasTopics, suspended !== undefined)
    this.emit(how)
  }

  /** @internal */
  _deliverCopy(buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    if (this._wantsCopy())
      this.emit('message', Buffer.from(buffer.subarray(offset, offset + length)), channel)
  }
  /** @internal */
  _suspended(connection: ClientConnection, reason: DisconnectReason): void {
    if (this._state !== 'running' || this._connection !== connection) return
    this._connection = undefined
    this._resumable = connection
    this._subscriptions.broken()
    debugLog?.(`client ${this._label} is suspended: ${because(reason)}`)
    this.#inContextOfStart(() => this.#reconnect(reason))
    this.emit('suspended', reason)
  }
  /** @internal */
  _disconnected(connection: ClientConnection, reason: DisconnectReason): void {
    debugLog?.(`client ${this._label} is disconnected: ${because(reason)}`)
    if (this._resumable === connection) {
      this._resumable = undefined
      this.#leaving.add(connection)
      // An attempt that is under way asks for the session that is lost.
      this._starting?.abandon(stopped())
      void this.#race?.stop()
      this._starting = this.#race = undefined
      this._state = 'idle'
      if (this.#lastError !== undefined) this.#giveUp(this.#lastError)
      else if (!reason.local) {
        this.#backOff?.interrupted()
        this.#inContextOfStart(() => this.#reconnect(reason))
      }
      this.#lastError = undefined
    } else if (this._state === 'running' && this._connection === connection) {
      this._state = 'idle'
      this._starting = this._connection = undefined
      this.#leaving.add(connection)
      if (this.#backOff !== undefined && !reason.local && !connection.hasEnded) this.#resume(reason)
    }
    if (this._state === 'reconnecting') this._subscriptions.broken()
    else if (this._state !== 'running') this._subscriptions.ended(reason.message)
    this.emit('disconnected', reason)
  }

  #resume(reason: DisconnectReason): void {
    if (this.#signal?.aborted === true) return
    if (isLasting(reason.code))
      this.#announce(() => this.emit('reconnectFailed', this.#failures.ended(reason)))
    else this.#inContextOfStart(() => this.#reconnect(reason))
  }
  /** @internal */
  _released(connection: ClientConnection): void {
    this.#leaving.delete(connection)
  }
}
