// ZerioClient: one connection to a server.
import { AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { type Contender, Race } from './connecting/race.js'
import { Starting } from './connecting/starting.js'
import type { ConnectionCounters } from './counters.js'
import { type Connection, Engine, type EngineInfo, EngineUse, type Hello } from './engine/engine.js'
import type { PoolBuffer } from './engine/pool.js'
import { type SendRing, unconnectedRing } from './engine/send_ring.js'
import { misuse, systemError, ZerioError } from './errors.js'
import {
  type Address,
  type ClientOptions,
  checkPeerId,
  isNumericHost,
  type ResolvedClientOptions,
  resolveAddress,
  resolveClientOptions
} from './options/options.js'
import { CloseCode, ConnectFailure, DisconnectReason } from './reason.js'
import type { SendStatus } from './status.js'

/**
 * The path without garbage: called once for each message, on the stack of the engine. The message is
 * `buffer[offset … offset + length - 1]` and is valid, and yours to read, until the handler returns.
 */
export type ClientMessageHandler = (
  buffer: PoolBuffer,
  offset: number,
  length: number,
  channel: number
) => void

/** Events of {@link ZerioClient} and their arguments. */
export interface ClientEventMap {
  /** The server has taken this client. Before the first message, and before `start` resolves. */
  connected: []
  /** The connection is gone. Exactly once for each `connected`, strictly after the last message. */
  disconnected: [reason: DisconnectReason]
  /** A message, copied into a Buffer of its own: comfortable, and garbage. */
  message: [message: Buffer, channel: number]
  /** A message that was refused with `BackPressured` has room now. */
  drain: []
}

type State = 'idle' | 'starting' | 'connected' | 'stopping'

/** Whose failure it is when no server has answered. */
const failures: Readonly<Record<number, 'address' | 'timeout'>> = {
  [ConnectFailure.System]: 'address',
  [ConnectFailure.Timeout]: 'timeout'
}

function stopped(): ZerioError {
  return new ZerioError('ZERIO_STOPPED', 'The client was stopped while it connected.')
}

/** One attempt to connect and, when it succeeds, the connection until its slot is released. */
class ClientConnection implements Connection, Contender {
  readonly scope = new AsyncResource('ZerioClient', { requireManualDestroy: true })
  receiving = true
  established = false
  readonly use: EngineUse
  #released = false
  #onReleased: (() => void) | undefined
  #whenReleased: Promise<void> | undefined

  constructor(
    readonly client: ZerioClient,
    readonly engine: Engine,
    readonly ring: SendRing,
    readonly host: string,
    readonly race: Race<ClientConnection>,
    referenced: boolean
  ) {
    this.use = new EngineUse(engine, referenced)
  }

  greet(): void {
    this.engine.native.greet(this.ring.slot)
  }
  abandon(): Promise<void> {
    this.close()
    return this.ended()
  }
  close(): void {
    this.receiving = false
    this.ring.close()
    if (!this.#released) this.engine.native.close(this.ring.slot, CloseCode.Normal, '')
  }
  deliver(buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    this.client._deliver(this, buffer, offset, length, channel)
  }
  reached(): void {
    if (this.receiving) this.race.reached(this)
  }
  connected(hello: Hello): void {
    // Abandoned in the same batch.
    if (!this.receiving) return
    this.established = true
    this.ring.open(hello.classic, hello.lengthMax)
    this.race.succeeded(this)
    this.client._connected(this, hello)
  }
  connectFailed(reason: DisconnectReason): void {
    const failure = failures[reason.closeCode] ?? 'answer'
    this.race.failed(this, this.client._connectError(reason, this.host), failure)
  }
  disconnected(closeCode: number, text: string, errno: number): void {
    const local = !this.receiving
    this.receiving = false
    this.ring.close()
    if (!this.established) return
    this.established = false
    this.client._disconnected(this, new DisconnectReason(closeCode, text, errno, local))
  }
  drained(): void {
    this.client.emit('drain')
  }
  released(): void {
    this.#released = true
    this.race.failed(this, stopped(), 'answer')
    this.use.release()
    this.client._released(this)
    this.#onReleased?.()
    this.scope.emitDestroy()
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
export class ZerioClient extends EventEmitter<ClientEventMap> {
  /** Called for each message; see {@link ClientMessageHandler}. Without it and without a `message` listener messages are dropped. */
  onMessage: ClientMessageHandler | null | undefined = null

  readonly #options: ResolvedClientOptions
  readonly #host: string
  readonly #port: number
  #state: State = 'idle'
  /** The start under way, until `stop`: another one can follow while it still waits. */
  #starting: Starting | undefined
  /** Its attempts, once there are addresses. */
  #race: Race<ClientConnection> | undefined
  /** Whether there may be `message` listeners: asking the emitter for each message would cost more than all the rest of its way. */
  #copies = false
  #engine: Engine | undefined
  #referenced = true
  #connection: ClientConnection | undefined
  /** Connections that end, after `disconnected` or a stop and until their slots are released. */
  readonly #leaving = new Set<ClientConnection>()
  #ring = unconnectedRing
  #serverId = ''
  #stopped: Promise<void> | undefined

  /**
   * Checks its arguments and allocates nothing yet. Throws `ZERIO_BAD_ARGUMENT` and `ZERIO_BAD_OPTION`.
   *
   * @param address a port on this machine, or host and port.
   */
  constructor(address: number | Address, options?: ClientOptions) {
    super()
    this.#watchListeners()
    const { host, port } = resolveAddress(address, 'A client')
    this.#host = host ?? 'localhost'
    this.#port = port
    this.#options = resolveClientOptions(options)
  }

  /**
   * Connects and introduces itself, within `connectTimeoutMs`. When the host has several addresses, attempts overlap: the next address
   * is tried when the one before has failed, or has not answered for 250 ms; the first connection is used and the others are
   * abandoned. Can be called again after `stop` and after `disconnected`.
   *
   * Rejects with the system's code (`ECONNREFUSED`, `ENOTFOUND`, …; `errors` has one error for each address when there were several),
   * the server's refusal (`ZERIO_DUPLICATE_PEER_ID`, `ZERIO_SERVER_FULL`, `ZERIO_UNAUTHORIZED`, …), `ZERIO_CONNECT_TIMEOUT`,
   * `ZERIO_HANDSHAKE_FAILED`, `ZERIO_BAD_PEER_ID`, `ZERIO_ALREADY_STARTED`, `ZERIO_STOPPING`, `ZERIO_OUT_OF_MEMORY`, or
   * `ZERIO_STOPPED` when `stop` is called before `connected`.
   *
   * @param peerId under which the server knows this client; 1 to 255 bytes of UTF-8, or of printable ASCII for classic.
   */
  async start(peerId: string): Promise<void> {
    checkPeerId(peerId, this.#options.protocol === 'classic')
    if (this.#state === 'stopping')
      throw misuse('ZERIO_STOPPING', 'The client is stopping; await stop() before start().')
    if (this.#state !== 'idle')
      throw misuse('ZERIO_ALREADY_STARTED', 'The client is started already; call stop() first.')
    this.#state = 'starting'
    const starting = new Starting(this.#options.connectTimeoutMs)
    this.#starting = starting
    let engine: Engine | undefined
    let use: EngineUse | undefined
    try {
      const hosts = isNumericHost(this.#host)
        ? [this.#host]
        : await starting.lookup(this.#host, () => this.#lookupTimeout())
      starting.check()
      engine = Engine.for(this.#options)
      // Somebody waits for the end of a start, whether or not the connection keeps the process alive later.
      use = new EngineUse(engine, true)
      this.#engine = engine
      engine.drive(1)
      await starting.wait(this.#connectToAny(engine, peerId, hosts, starting))
    } catch (error) {
      if (this.#starting === starting) this.#state = 'idle'
      throw error
    } finally {
      if (this.#starting === starting) this.#starting = this.#race = undefined
      engine?.drive(-1)
      use?.release()
    }
  }

  /** The connection keeps the process alive, which is the default. Returns the client. */
  ref(): this {
    return this.#reference(true)
  }

  /**
   * The connection no longer keeps the process alive: when nothing else does, the process ends, and what was accepted until then is
   * handed to the system. Counts for later starts, too. Returns the client.
   */
  unref(): this {
    return this.#reference(false)
  }

  #reference(referenced: boolean): this {
    this.#referenced = referenced
    for (const one of [this.#connection, ...this.#leaving, ...(this.#race?.contenders ?? [])])
      if (one !== undefined) one.use.referenced = referenced
    return this
  }

  /** Whether messages can be sent. */
  get isConnected(): boolean {
    return this.#state === 'connected'
  }

  /** The id of the server; empty before the first connection, and with classic. */
  get serverId(): string {
    return this.#serverId
  }

  /** The memory in which `claim` returns an offset; empty before the first connection. Shared with others: write only what you claimed. */
  get buffer(): PoolBuffer {
    return this.#ring.buffer
  }

  /** The same memory as a DataView. */
  get view(): DataView {
    return this.#ring.view
  }

  /** As `pendingBytes` of a server's `Peer`, of the present or last connection. */
  get pendingBytes(): number {
    return this.#ring.pendingBytes
  }

  /** Counters of the present or last connection, without garbage. */
  get counters(): ConnectionCounters {
    return this.#ring.counters
  }

  /** The engine behind this client: which backend, why, and its counters. Undefined before the first start. */
  get engine(): EngineInfo | undefined {
    return this.#engine
  }

  /**
   * Sends one message: all of `bytes`, or `length` of them from `offset`. The bytes are copied before it returns. Allocates
   * nothing. Returns a {@link SendStatus}; throws `ZERIO_BAD_ARGUMENT` for wrong types and `ZERIO_CLAIM_OPEN` inside a claim.
   */
  send(bytes: Uint8Array, channel?: number): SendStatus
  send(bytes: Uint8Array, offset: number, length: number, channel?: number): SendStatus
  send(bytes: Uint8Array, offset = 0, length?: number, channel = 0): SendStatus {
    const ring = this.#ring
    return length === undefined ? ring.sendAll(bytes, offset) : ring.sendPart(bytes, offset, length, channel)
  }

  /**
   * Reserves `length` bytes (0 to `maxMessageLength`) of a message to be written in place. Returns their offset in
   * {@link buffer} and {@link view}, or a negative {@link SendStatus}. The bytes are yours until `commit` or `abort`, which
   * must follow in the same turn. Allocates nothing. Throws `ZERIO_CLAIM_OPEN` when a claim is open already.
   */
  claim(length: number, channel = 0): number {
    return this.#ring.claim(length, channel)
  }

  /** Sends what was claimed. `Closed` when the connection ended since; throws `ZERIO_NO_CLAIM` without a claim. */
  commit(): SendStatus {
    return this.#ring.commit()
  }

  /** Gives the claim back, unsent. Throws `ZERIO_NO_CLAIM` without one. */
  abort(): void {
    this.#ring.abort()
  }

  /** Hands everything accepted so far to the system now, instead of at the end of the turn. Allocates nothing. */
  flush(): void {
    this.#engine?.flush()
  }

  /**
   * Does I/O and runs handlers of all servers and clients that share this engine, on the caller's stack. Returns how many
   * messages were dispatched; 0 before the first start. Made for `waitStrategy: 'manual'`, allowed with all. An exception of a handler
   * passes through; the next call goes on with the next message. Throws `ZERIO_POLL_IN_HANDLER` inside a handler. Allocates nothing.
   */
  poll(): number {
    return this.#engine === undefined ? 0 : this.#engine.poll()
  }

  /**
   * Sends what was accepted within `lingerMs`, and closes. Resolves when all is closed; never rejects. A `start` under way
   * rejects with `ZERIO_STOPPED`. Does nothing when not started.
   */
  stop(): Promise<void> {
    if (this.#state === 'stopping') return this.#stopped as Promise<void>
    const connection = this.#connection
    const race = this.#race
    this.#starting?.abandon(stopped())
    this.#starting = this.#race = undefined
    if (connection === undefined && race === undefined) {
      // Resolving a host name, or idle; the last connection may still send what it accepted.
      this.#state = 'idle'
      return this.#allEnded()
    }
    this.#state = 'stopping'
    this.#stopped = this.#stop(connection, race)
    return this.#stopped
  }

  /** As in every EventEmitter. */
  override removeAllListeners(eventName?: string | symbol): this {
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

  async #stop(
    connection: ClientConnection | undefined,
    race: Race<ClientConnection> | undefined
  ): Promise<void> {
    connection?.close()
    if (connection !== undefined) this.#leaving.add(connection)
    await Promise.all([race?.stop(), this.#allEnded()])
    this.#connection = undefined
    this.#state = 'idle'
  }

  /** Resolves when nothing is left of connections that end. */
  async #allEnded(): Promise<void> {
    await Promise.all(Array.from(this.#leaving, (one) => one.ended()))
  }

  #connectToAny(engine: Engine, peerId: string, hosts: readonly string[], starting: Starting): Promise<void> {
    const { protocol, ...options } = this.#options
    const request = {
      ...options,
      classic: protocol === 'classic',
      id: peerId,
      port: this.#port,
      holdsHello: hosts.length > 1
    }
    const open = (host: string): ClientConnection => {
      engine.reserveSlot()
      const slot = engine.native.connect({ ...request, host, connectTimeoutMs: starting.remainingMs })
      if (slot < 0) throw this.#systemError(-slot, host)
      const connection = new ClientConnection(
        this,
        engine,
        engine.takeSlot(slot),
        host,
        race,
        this.#referenced
      )
      engine.setConnection(slot, connection)
      return connection
    }
    const late = (host: string): ZerioError => this.#connectTimeout(host, 'the address did not answer')
    const race = new Race(this.#host, hosts, open, late)
    this.#race = race
    return race.run()
  }

  /** @internal */
  _connectError(reason: DisconnectReason, host: string): ZerioError {
    if (reason.closeCode === ConnectFailure.System) return this.#systemError(reason.errno, host)
    if (reason.closeCode === ConnectFailure.Timeout) return this.#connectTimeout(host, reason.message)
    const details = { address: host, port: this.#port }
    if (reason.closeCode === ConnectFailure.PeerLeft || reason.closeCode === ConnectFailure.Lost) {
      const text = `${host} port ${this.#port} closed the connection during the handshake; check the protocol option and the server's limits.`
      return new ZerioError('ZERIO_HANDSHAKE_FAILED', text, details)
    }
    return new ZerioError(
      reason.code,
      `${host} port ${this.#port} refused the connection: ${reason.message}.`,
      details
    )
  }

  #connectTimeout(host: string, what: string): ZerioError {
    return new ZerioError(
      'ZERIO_CONNECT_TIMEOUT',
      `Cannot connect to ${host} port ${this.#port}: ${what}; check that a zerio server is there, or raise connectTimeoutMs (${this.#options.connectTimeoutMs}).`,
      { syscall: 'connect', address: host, port: this.#port }
    )
  }

  #lookupTimeout(): ZerioError {
    return new ZerioError(
      'ZERIO_CONNECT_TIMEOUT',
      `Cannot connect to ${this.#host} port ${this.#port}: no name server answered within connectTimeoutMs (${this.#options.connectTimeoutMs}); check the name servers, or give a numeric address.`,
      { syscall: 'getaddrinfo', address: this.#host, port: this.#port }
    )
  }

  #systemError(errno: number, host: string): ZerioError {
    return systemError(errno, `Cannot connect to ${host} port ${this.#port}`, {
      syscall: 'connect',
      address: host,
      port: this.#port
    })
  }

  /** @internal */
  _connected(connection: ClientConnection, hello: Hello): void {
    this.#connection = connection
    this.#ring = connection.ring
    this.#serverId = hello.buffer.toString('utf8', hello.offset, hello.offset + hello.idLength)
    this.#state = 'connected'
    this.emit('connected')
  }

  /** @internal */
  _deliver(
    connection: ClientConnection,
    buffer: PoolBuffer,
    offset: number,
    length: number,
    channel: number
  ): void {
    if (this.onMessage != null) this.onMessage(buffer, offset, length, channel)
    if (this.#copies === true && connection.receiving) this.#deliverCopy(buffer, offset, length, channel)
  }

  #deliverCopy(buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    this.#copies = this.listenerCount('message') > 0
    if (this.#copies) this.emit('message', Buffer.from(buffer.subarray(offset, offset + length)), channel)
  }

  #watchListeners(): void {
    EventEmitter.prototype.on.call(this, 'newListener', (name: string | symbol) => {
      if (name === 'message') this.#copies = true
    })
  }

  /** @internal */
  _disconnected(connection: ClientConnection, reason: DisconnectReason): void {
    if (this.#state === 'connected') {
      this.#state = 'idle'
      if (this.#connection === connection) this.#connection = undefined
      this.#leaving.add(connection)
    }
    this.emit('disconnected', reason)
  }

  /** @internal */
  _released(connection: ClientConnection): void {
    this.#leaving.delete(connection)
  }
}
