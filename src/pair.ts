// Two connected ends in one process: a client, and a server that takes no other one.
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { type ClientMessageHandler, ZerioClient } from './client.js'
import type { ConnectionCounters } from './counters.js'
import type { EngineInfo } from './engine/engine.js'
import type { PoolBuffer } from './engine/pool.js'
import { checkHandler } from './options/given.js'
import {
  type ClientOptions,
  type LiveOptions,
  resolveClientOptions,
  resolveServerOptions,
  type ServerOptions
} from './options/options.js'
import type { Peer } from './peer.js'
import type { DisconnectReason } from './reason.js'
import { ZerioServer } from './server.js'
import { type SendStatus, Status } from './status.js'

/** Options of {@link createPair}: those that servers and clients have in common. Both ends get the same. */
export type PairOptions = Pick<ServerOptions, keyof ServerOptions & keyof ClientOptions>

/** Events of a {@link PairEnd} and their arguments. */
export interface PairEventMap {
  /** The send ring of this end, which refused a message with `BackPressured`, has room for it now. */
  drain: []
  /** With the option `allowHalfOpen`: the other end sends nothing any more, and still reads. */
  ended: []
  /** Nothing came for `idleTimeoutMs`: the pair ends as soon as the handlers have returned, unless one has called `setIdleTimeout`. */
  idle: []
  /** The connection is gone. Emitted once, after this end's last message. */
  disconnected: [reason: DisconnectReason]
}

/** What the two ends have of their own; all else is that of the client or the peer behind them. */
interface Side {
  readonly line: ZerioClient | Peer
  /** Whom the end keeps the process alive with, polls, and asks for its engine. */
  readonly endpoint: ZerioClient | ZerioServer
  isOpen(): boolean
  listen(handler: ClientMessageHandler | null): void
  close(code: number | undefined, reason: string | undefined): Promise<void>
}

/** One end of a pair that {@link createPair} has made. Both ends have the same methods. */
export class PairEnd extends EventEmitter<PairEventMap> {
  readonly #side: Side
  readonly #line: ZerioClient | Peer
  #handler: ClientMessageHandler | null = null

  /** @internal */
  constructor(side: Side) {
    super()
    this.#side = side
    this.#line = side.line
  }

  /**
   * Called for each message that the other end has sent; see {@link ClientMessageHandler}. Without it messages are dropped. May be
   * replaced at any time. Throws `ZERIO_BAD_ARGUMENT`.
   */
  get onMessage(): ClientMessageHandler | null {
    return this.#handler
  }
  /** See the getter. */
  set onMessage(handler: ClientMessageHandler | null | undefined) {
    if (handler != null) checkHandler('onMessage', handler)
    this.#side.listen(handler ?? null)
    this.#handler = handler ?? null
  }

  /** As {@link Peer.buffer}. */
  get buffer(): PoolBuffer {
    return this.#line.buffer
  }

  /** As {@link Peer.view}. */
  get view(): DataView {
    return this.#line.view
  }

  /** Whether messages can be sent. */
  get isOpen(): boolean {
    return this.#side.isOpen()
  }

  /** As {@link Peer.pendingBytes}. */
  get pendingBytes(): number {
    return this.#line.pendingBytes
  }

  /** As {@link Peer.counters}. */
  get counters(): ConnectionCounters {
    return this.#line.counters
  }

  /** As {@link Peer.messageNumber}. */
  get messageNumber(): number {
    return this.#line.messageNumber
  }

  /** As {@link Peer.receivedAt}. */
  get receivedAt(): number {
    return this.#line.receivedAt
  }

  /** As {@link Peer.rttUs}. */
  get rttUs(): number {
    return this.#line.rttUs
  }

  /** As {@link Peer.isPaused}. */
  get isPaused(): boolean {
    return this.#line.isPaused
  }

  /** The engine behind both ends. */
  get engine(): EngineInfo {
    return this.#side.endpoint.engine as EngineInfo
  }

  /**
   * As {@link Peer.send}.
   *
   * @param channel 0 (default) to 127.
   */
  send(bytes: Uint8Array, channel?: number): SendStatus
  send(bytes: Uint8Array, offset: number, length: number, channel?: number): SendStatus
  send(bytes: Uint8Array, offset = 0, length?: number, channel = 0): SendStatus {
    const line = this.#line
    return length === undefined ? line.send(bytes, offset) : line.send(bytes, offset, length, channel)
  }

  /**
   * As {@link Peer.claim}.
   *
   * @param channel 0 (default) to 127.
   */
  claim(length: number, channel = 0): number {
    return this.#line.claim(length, channel)
  }

  /** As {@link Peer.claimRun}. */
  claimRun(count: number, length: number, channel = 0): number {
    return this.#line.claimRun(count, length, channel)
  }

  /** As {@link Peer.commit}. */
  commit(): SendStatus {
    return this.#line.commit()
  }

  /** As {@link Peer.abort}. */
  abort(): void {
    this.#line.abort()
  }

  /** As {@link Peer.flush}. */
  flush(): void {
    this.#line.flush()
  }

  /** As {@link Peer.pause}. */
  pause(): void {
    this.#line.pause()
  }

  /** As {@link Peer.resume}. */
  resume(): void {
    this.#line.resume()
  }

  /** As {@link Peer.ping}. */
  ping(timeoutMs?: number): Promise<number> {
    return this.#line.ping(timeoutMs)
  }

  /** As {@link Peer.configure}. */
  configure(options: LiveOptions): void {
    this.#line.configure(options)
  }

  /** As {@link Peer.setIdleTimeout}. */
  setIdleTimeout(timeoutMs: number): void {
    this.#line.setIdleTimeout(timeoutMs)
  }

  /** As {@link Peer.end}. */
  end(): void {
    this.#line.end()
  }

  /** As {@link Peer.readStatus}. */
  readStatus(target: Float64Array): Float64Array {
    return this.#line.readStatus(target)
  }

  /** As {@link Peer.inspectText}. */
  inspectText(): string {
    return this.#line.inspectText()
  }

  /** As `ZerioServer.poll`: does I/O and runs handlers of both ends, and of all else that shares their engine. */
  poll(): number {
    return this.#side.endpoint.poll()
  }

  /** Lets this end keep the process alive, which is the default. Returns itself. */
  ref(): this {
    this.#side.endpoint.ref()
    return this
  }

  /** Lets the process end without this end. Returns itself. */
  unref(): this {
    this.#side.endpoint.unref()
    return this
  }

  /**
   * Ends the pair: everything this end has accepted so far is sent, then `code` and `reason`, within `lingerMs`. Nothing more is
   * accepted or delivered at this end; the other one gets what was sent, and `disconnected`. Resolves when this end is closed; never
   * rejects. With `waitStrategy: 'manual'` the other end is over when it was polled. Throws `ZERIO_BAD_ARGUMENT`.
   *
   * @param code 1000 (default) or 4000 to 4999.
   * @param reason at most 256 bytes of UTF-8.
   */
  close(code?: number, reason?: string): Promise<void> {
    return this.#side.close(code, reason)
  }

  /** Ends the pair at once: what was accepted and not sent is lost. `disconnected` follows at both ends. */
  terminate(): void {
    this.#line.terminate()
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

// The program's defaults are not for pairs: an end that connects again, for instance, would look for a server that is gone.
class PairServer extends ZerioServer {
  static override defaults: ServerOptions = {}
}
class PairClient extends ZerioClient {
  static override defaults: ClientOptions = {}
  /** Whether it takes messages. */
  get isOpen(): boolean {
    return this._ring.status === Status.Sent
  }
}

/**
 * Makes two connected ends in this process, for tests and for parts of a program that shall be able to move apart: what one sends the
 * other receives, through the system's TCP on 127.0.0.1 and with all the rules of a connection. No other program can take an end: the
 * client proves itself by a random secret, and the port is closed when the ends are connected.
 *
 * Rejects with `ZERIO_BAD_OPTION`, `ZERIO_BACKEND_UNAVAILABLE`, `ZERIO_OUT_OF_MEMORY`, `ZERIO_TOO_MANY_SERVERS`,
 * `ZERIO_CONNECT_TIMEOUT`, or the system's code (`EMFILE`, …).
 *
 * @param options those that servers and clients have in common; both ends get the same. `ZerioServer.defaults` and
 *   `ZerioClient.defaults` do not hold for pairs.
 */
export async function createPair(options?: PairOptions): Promise<[left: PairEnd, right: PairEnd]> {
  resolveServerOptions(options)
  resolveClientOptions(options)
  const secret = randomBytes(32)
  const authenticate = (_id: string, credential: Uint8Array): boolean =>
    credential.length === secret.length && timingSafeEqual(credential, secret)
  const server = new PairServer({ host: '127.0.0.1', port: 0 }, { ...options, authenticate })
  let peer: Peer | undefined
  server.on('clientConnected', (_id, connected) => {
    peer = connected
  })
  await server.start('pair')
  const address = { host: '127.0.0.1', port: server.listeningPort }
  const client = new PairClient(address, { ...options, credential: secret })
  try {
    await client.start('pair')
    // Both share an engine, which has reported the peer before the client.
    if (peer === undefined) throw new Error('A client is connected whose server has no peer.')
    server.stopListening()
    return [endOfClient(client), endOfServer(server, peer)]
  } catch (error) {
    await Promise.all([client.stop(), server.stop()])
    throw error
  }
}

function endOfClient(client: PairClient): PairEnd {
  const end = new PairEnd({
    line: client,
    endpoint: client,
    isOpen: () => client.isOpen,
    listen: (handler) => {
      client.onMessage = handler
    },
    close: (code, reason) => client.stop(code, reason)
  })
  client.on('drain', () => end.emit('drain'))
  client.on('ended', () => end.emit('ended'))
  client.on('idle', () => end.emit('idle'))
  client.on('disconnected', (reason) => end.emit('disconnected', reason))
  return end
}

function endOfServer(server: ZerioServer, peer: Peer): PairEnd {
  const end = new PairEnd({
    line: peer,
    endpoint: server,
    isOpen: () => peer.isOpen,
    listen: (handler) => {
      peer.onMessage =
        handler === null
          ? null
          : (_peer, buffer, offset, length, channel) => handler(buffer, offset, length, channel)
    },
    close: (code, reason) => {
      peer.close(code, reason)
      return server.stop()
    }
  })
  server.on('drain', () => end.emit('drain'))
  server.on('clientEnded', () => end.emit('ended'))
  server.on('idle', () => end.emit('idle'))
  server.on('clientDisconnected', (_id, reason) => end.emit('disconnected', reason))
  return end
}
