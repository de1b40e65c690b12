// ZerioClient: one connection to a server.
import { AsyncResource } from 'node:async_hooks'
import { type Contender, Race } from './connecting/race.js'
import { Starting } from './connecting/starting.js'
import type { ConnectionCounters } from './counters.js'
import { Endpoint } from './endpoint.js'
import type { Connection, Hello } from './engine/connection.js'
import type { Engine } from './engine/engine.js'
import { Code } from './engine/layout.js'
import type { PoolBuffer } from './engine/pool.js'
import { EngineUse, engineFor } from './engine/registry.js'
import { type SendRing, unconnectedRing } from './engine/send_ring.js'
import { systemError, ZerioError } from './errors.js'
import {
  type Address,
  type ClientOptions,
  checkPeerId,
  isNumericHost,
  type ResolvedClientOptions,
  resolveAddress,
  resolveClientOptions
} from './options/options.js'
import { DisconnectReason } from './reason.js'
import type { SendStatus } from './status.js'

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

/** Events of {@link ZerioClient} and their arguments. */
export interface ClientEventMap {
  /** The server has accepted this client. Emitted before the first message is delivered and before `start` resolves. */
  connected: []
  /** The connection is gone. Emitted exactly once for each `connected`, after the last message. */
  disconnected: [reason: DisconnectReason]
  /** A message, copied into a Buffer that the program may keep. Each copy is garbage; `onMessage` makes none. */
  message: [message: Buffer, channel: number]
  /** The send ring that refused a message with `BackPressured` has room for it now. */
  drain: []
}

/** Whose failure it is when no server has answered. */
const failures: Readonly<Record<number, 'address' | 'timeout'>> = {
  [Code.ConnectFailed]: 'address',
  [Code.ConnectTimeout]: 'timeout'
}

function stopped(): ZerioError {
  return new ZerioError('ZERIO_STOPPED', 'The client was stopped while it connected.')
}

/** One attempt to connect and, when it succeeds, the connection until its slot is released. */
class ClientConnection implements Connection, Contender {
  readonly _scope = new AsyncResource('ZerioClient', { requireManualDestroy: true })
  _receiving = true
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
    this._receiving = false
    this.ring.close()
    if (!this.#released) this.engine.native.close(this.ring.slot, Code.Normal, '')
  }
  _deliver(buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    const client = this.client
    if (client.onMessage != null) client.onMessage(buffer, offset, length, channel)
    if (client._copies === true && this._receiving) client._deliverCopy(buffer, offset, length, channel)
  }
  _reached(): void {
    if (this._receiving) this.race.reached(this)
  }
  _connected(hello: Hello): void {
    // Abandoned in the same batch.
    if (!this._receiving) return
    this.established = true
    this.ring.open(hello.classic, hello.lengthMax)
    this.race.succeeded(this)
    this.client._connected(this, hello)
  }
  _connectFailed(reason: DisconnectReason): void {
    const failure = failures[reason.closeCode] ?? 'answer'
    this.race.failed(this, this.client._connectError(reason, this.host), failure)
  }
  _disconnected(closeCode: number, text: string, errno: number): void {
    const local = !this._receiving
    this._receiving = false
    this.ring.close()
    if (!this.established) return
    this.established = false
    this.client._disconnected(this, new DisconnectReason(closeCode, text, errno, local))
  }
  _drained(): void {
    this.client.emit('drain')
  }
  _released(): void {
    this.#released = true
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
export class ZerioClient extends Endpoint<ClientEventMap> {
  /**
   * Called for each message; see {@link ClientMessageHandler}. Without it and without a `message` listener messages are dropped. May be
   * replaced at any time.
   */
  onMessage: ClientMessageHandler | null | undefined = null

  readonly #options: ResolvedClientOptions
  readonly #host: string
  readonly #port: number
  /** The attempts of the start under way, once there are addresses. */
  #race: Race<ClientConnection> | undefined
  #connection: ClientConnection | undefined
  /** Connections that end, after `disconnected` or a stop and until their slots are released. */
  readonly #leaving = new Set<ClientConnection>()
  #ring = unconnectedRing
  #serverId = ''

  /**
   * Checks its arguments; memory and sockets are taken by {@link start}. Throws `ZERIO_BAD_ARGUMENT` and `ZERIO_BAD_OPTION`.
   *
   * @param address a port on this machine, or host and port.
   * @param options see docs/options.md.
   */
  constructor(address: number | Address, options?: ClientOptions) {
    super('client')
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
   * @param peerId the name under which the server knows this client; 1 to 255 bytes of UTF-8 without control characters, or of
   * printable ASCII for classic.
   */
  async start(peerId: string): Promise<void> {
    checkPeerId(peerId, this.#options.protocol === 'classic')
    const starting = new Starting(this.#options.connectTimeoutMs)
    await this._start(starting, () => this.#connect(starting, peerId))
  }

  async #connect(starting: Starting, peerId: string): Promise<void> {
    const hosts = isNumericHost(this.#host)
      ? [this.#host]
      : await starting.lookup(this.#host, () => this.#lookupTimeout())
    starting.check()
    const engine = engineFor(this.#options)
    // The program waits for the end of a start, whether or not the connection keeps the process alive later.
    const use = new EngineUse(engine, true)
    this._engine = engine
    engine.drive(1)
    try {
      await starting.wait(this.#connectToAny(engine, peerId, hosts, starting))
    } finally {
      if (this._starting === starting) this.#race = undefined
      engine.drive(-1)
      use.release()
    }
  }

  /** @internal */
  protected override *_uses(): Iterable<EngineUse> {
    for (const one of [this.#connection, ...this.#leaving, ...(this.#race?.contenders ?? [])])
      if (one !== undefined) yield one.use
  }

  /** Whether messages can be sent. */
  get isConnected(): boolean {
    return this._state === 'running'
  }

  /** The id of the server; empty before the first connection, and with classic. */
  get serverId(): string {
    return this.#serverId
  }

  /**
   * The memory in which `claim` returns an offset; empty before the first connection. Other connections share it, so write only what
   * you claimed. Valid until the next connection is made.
   */
  get buffer(): PoolBuffer {
    return this.#ring.buffer
  }

  /** The memory of {@link buffer} as a DataView, at the same offsets. */
  get view(): DataView {
    return this.#ring.view
  }

  /**
   * How much of what was accepted the system has not taken yet, in bytes, headers included; 0 to `sendRingBytes` and 511 more. Of the
   * present or last connection. Allocates nothing.
   */
  get pendingBytes(): number {
    return this.#ring.pendingBytes
  }

  /** Counters of the present or last connection. Reading them allocates nothing. */
  get counters(): ConnectionCounters {
    return this.#ring.counters
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
    const ring = this.#ring
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
    return this.#ring.claim(length, channel)
  }

  /**
   * Sends what was claimed. Returns `Sent`, or `Closed` when the connection has ended since. Allocates nothing. Throws
   * `ZERIO_NO_CLAIM` without a claim.
   */
  commit(): SendStatus {
    return this.#ring.commit()
  }

  /** Gives the claim back, unsent. Allocates nothing. Throws `ZERIO_NO_CLAIM` without one. */
  abort(): void {
    this.#ring.abort()
  }

  /**
   * Sends what was accepted within `lingerMs`, and closes the connection. Resolves when it is closed; never rejects. A `start` under
   * way rejects with `ZERIO_STOPPED`. Does nothing when not started.
   */
  override stop(): Promise<void> {
    if (this._state === 'stopping') return this._stopped as Promise<void>
    const connection = this.#connection
    const race = this.#race
    this._starting?.abandon(stopped())
    this._starting = this.#race = undefined
    if (connection === undefined && race === undefined) {
      // Resolving a host name, or idle; the last connection may still send what it accepted.
      this._state = 'idle'
      return this.#allEnded()
    }
    this._state = 'stopping'
    this._stopped = this.#stop(connection, race)
    return this._stopped
  }

  async #stop(
    connection: ClientConnection | undefined,
    race: Race<ClientConnection> | undefined
  ): Promise<void> {
    connection?.close()
    if (connection !== undefined) this.#leaving.add(connection)
    await Promise.all([race?.stop(), this.#allEnded()])
    this.#connection = undefined
    this._state = 'idle'
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
        this._referenced
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
    if (reason.closeCode === Code.ConnectFailed) return this.#systemError(reason.errno, host)
    if (reason.closeCode === Code.ConnectTimeout) return this.#connectTimeout(host, reason.message)
    const details = { address: host, port: this.#port }
    if (reason.closeCode === Code.PeerLeft || reason.closeCode === Code.ConnectionFailed) {
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
    this._state = 'running'
    this.emit('connected')
  }

  /** @internal */
  _deliverCopy(buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    if (this._wantsCopy())
      this.emit('message', Buffer.from(buffer.subarray(offset, offset + length)), channel)
  }

  /** @internal */
  _disconnected(connection: ClientConnection, reason: DisconnectReason): void {
    if (this._state === 'running') {
      this._state = 'idle'
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
