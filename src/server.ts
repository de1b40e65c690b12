// ZerioServer: listens, greets peers, and hands their messages to the program.
import { AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { Starting } from './connecting/starting.js'
import { ServerCounters } from './counters.js'
import {
  type Connection,
  Engine,
  type EngineInfo,
  EngineUse,
  type Hello,
  type ServerEvents
} from './engine/engine.js'
import { Layout } from './engine/layout.js'
import type { PoolBuffer } from './engine/pool.js'
import { ReportRate } from './engine/report_rate.js'
import { type SendRing, unconnectedRing } from './engine/send_ring.js'
import { misuse, systemError, systemErrorName, ZerioError } from './errors.js'
import {
  type Address,
  checkPeerId,
  describe,
  type ResolvedServerOptions,
  resolveAddress,
  resolveServerOptions,
  type ServerOptions
} from './options/options.js'
import { Peer } from './peer.js'
import { CloseCode, DisconnectReason } from './reason.js'
import { type SendStatus, Status } from './status.js'

/**
 * The path without garbage: called once for each message, on the stack of the engine. The message is
 * `buffer[offset … offset + length - 1]` and is valid, and yours to read, until the handler returns.
 */
export type ServerMessageHandler = (
  peer: Peer,
  buffer: PoolBuffer,
  offset: number,
  length: number,
  channel: number
) => void

/** What a `refused` event tells beside the reason. */
export interface RefusedDetails {
  /** How many refusals with this reason the event stands for, itself included. */
  readonly count: number
}

/** Events of {@link ZerioServer} and their arguments. */
export interface ServerEventMap {
  /** A peer is connected. Strictly before its first message. */
  clientConnected: [peerId: string, peer: Peer]
  /** A peer is gone. Exactly once for each `clientConnected`, strictly after its last message. */
  clientDisconnected: [peerId: string, reason: DisconnectReason, peer: Peer]
  /** A message, copied into a Buffer of its own: comfortable, and garbage. */
  message: [peerId: string, message: Buffer, channel: number, peer: Peer]
  /** A peer that refused a message with `BackPressured` has room for it now. */
  drain: [peer: Peer]
  /**
   * A connection was closed before it became a peer. `count` is 1 up to a hundred refusals of a kind at once and a hundred a second;
   * beyond that one event stands for so many of them.
   */
  refused: [reason: DisconnectReason, details: RefusedDetails]
  /**
   * The machine refuses something (`EMFILE` at accept, no memory for pools), or `authenticate` gave no answer
   * (`ZERIO_AUTHENTICATE_FAILED`); the server goes on. Reported as often as `refused`, with the number in `error.count`. Without a
   * listener: a process warning.
   */
  error: [error: ZerioError]
}

type State = 'idle' | 'starting' | 'listening' | 'stopping'

/** One peer's events, on their way to the server's. */
class PeerConnection implements Connection {
  // Made in the scope of the server, whose async context it takes over.
  readonly scope = new AsyncResource('ZerioPeer', { requireManualDestroy: true })
  constructor(
    readonly server: ZerioServer,
    readonly peer: Peer
  ) {}
  get receiving(): boolean {
    return this.peer._receiving
  }
  deliver(buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    this.server._deliver(this.peer, buffer, offset, length, channel)
  }
  reached(): void {}
  connected(): void {}
  connectFailed(): void {}
  disconnected(closeCode: number, text: string, errno: number): void {
    this.server._disconnected(this.peer, closeCode, text, errno)
  }
  drained(): void {
    this.server.emit('drain', this.peer)
  }
  released(): void {
    this.scope.emitDestroy()
  }
}

/**
 * A server of messages.
 *
 * ```js
 * const server = new ZerioServer(48654)
 * server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
 * await server.start('server')
 * ```
 */
export class ZerioServer extends EventEmitter<ServerEventMap> {
  /** Called for each message; see {@link ServerMessageHandler}. Without it and without a `message` listener messages are dropped. */
  onMessage: ServerMessageHandler | null | undefined = null

  readonly #options: ResolvedServerOptions
  readonly #host: string | undefined
  readonly #port: number
  readonly #peersById = new Map<string, Peer>()
  readonly #peers: Peer[] = []
  #state: State = 'idle'
  /** The start under way, until `stop`: another one can follow while it still waits. */
  #starting: Starting | undefined
  /** Whether there may be `message` listeners: asking the emitter for each message would cost more than all the rest of its way. */
  #copies = false
  #engine: Engine | undefined
  #use: EngineUse | undefined
  #referenced = true
  #scope: AsyncResource | undefined
  #server = -1
  #listeningHost = ''
  #listeningPort = 0
  #counters = new ServerCounters(new Float64Array(Layout.ServerCounters))
  #stopped: Promise<void> | undefined
  #allReleased: (() => void) | undefined
  readonly #errorRate = new ReportRate()

  /**
   * Checks its arguments and allocates nothing yet. Throws `ZERIO_BAD_ARGUMENT` and `ZERIO_BAD_OPTION`.
   *
   * @param address a port, or host and port.
   */
  constructor(address: number | Address, options?: ServerOptions) {
    super()
    this.#watchListeners()
    const { host, port } = resolveAddress(address, 'A server')
    this.#host = host
    this.#port = port
    this.#options = resolveServerOptions(options)
  }

  /**
   * Listens. Afterwards {@link listeningPort} is known. Can be called again after `stop`.
   *
   * Rejects with the system's code (`EADDRINUSE`, `EACCES`, `ENOTFOUND`, …), `ZERIO_BAD_PEER_ID`, `ZERIO_ALREADY_STARTED`,
   * `ZERIO_STOPPING`, `ZERIO_BACKEND_UNAVAILABLE`, `ZERIO_OUT_OF_MEMORY`, `ZERIO_TOO_MANY_SERVERS`, or `ZERIO_STOPPED` when
   * `stop` is called meanwhile.
   *
   * @param serverId told to native clients; 1 to 255 bytes of UTF-8.
   */
  async start(serverId: string): Promise<void> {
    checkPeerId(serverId, false)
    if (this.#state === 'stopping')
      throw misuse('ZERIO_STOPPING', 'The server is stopping; await stop() before start().')
    if (this.#state !== 'idle')
      throw misuse('ZERIO_ALREADY_STARTED', 'The server is started already; call stop() first.')
    this.#state = 'starting'
    const starting = new Starting()
    this.#starting = starting
    try {
      const hosts = await this.#hosts(starting)
      starting.check()
      this.#listen(serverId, hosts)
      this.#state = 'listening'
    } catch (error) {
      if (this.#starting === starting) this.#state = 'idle'
      throw error
    } finally {
      if (this.#starting === starting) this.#starting = undefined
    }
  }

  /** The server keeps the process alive, which is the default. Returns the server. */
  ref(): this {
    return this.#reference(true)
  }

  /**
   * The server and its peers no longer keep the process alive: when nothing else does, the process ends, and what was accepted
   * until then is handed to the system. Counts for later starts, too. Returns the server.
   */
  unref(): this {
    return this.#reference(false)
  }

  #reference(referenced: boolean): this {
    this.#referenced = referenced
    if (this.#use !== undefined) this.#use.referenced = referenced
    return this
  }

  /** The port on which the server listens; 0 when it does not. */
  get listeningPort(): number {
    return this.#listeningPort
  }

  /** The numeric address on which the server listens; empty when it does not. */
  get listeningHost(): string {
    return this.#listeningHost
  }

  /** How many peers are connected. */
  get peerCount(): number {
    return this.#peers.length
  }

  /** The connected peers, in no particular order. Allocates an array. */
  get peers(): Peer[] {
    return this.#peers.slice()
  }

  /** Counters of this server since its last start, without garbage. */
  get counters(): ServerCounters {
    return this.#counters
  }

  /** The engine behind this server: which backend, why, and its counters. Undefined before the first start. */
  get engine(): EngineInfo | undefined {
    return this.#engine
  }

  /** The connected peer with this id. Allocates nothing. */
  peer(peerId: string): Peer | undefined {
    return this.#peersById.get(peerId)
  }

  /**
   * Sends one message to one peer: all of `bytes`, or `length` of them from `offset`. Allocates nothing. Returns a
   * {@link SendStatus}, `NotConnected` for an unknown id; throws `ZERIO_BAD_ARGUMENT` for wrong types and `ZERIO_CLAIM_OPEN` while that
   * peer has a claim open.
   */
  send(peerId: string, bytes: Uint8Array, channel?: number): SendStatus
  send(peerId: string, bytes: Uint8Array, offset: number, length: number, channel?: number): SendStatus
  send(peerId: string, bytes: Uint8Array, offset = 0, length?: number, channel = 0): SendStatus {
    const peer = this.#peersById.get(peerId)
    const ring = peer === undefined ? ringOfNobody(peerId) : peer._ring
    return length === undefined ? ring.sendAll(bytes, offset) : ring.sendPart(bytes, offset, length, channel)
  }

  /**
   * Sends one message to all connected peers. Returns how many took it: peers whose ring is full, who do not accept the length
   * or who have no channels are left out. Allocates nothing. Throws `ZERIO_BAD_ARGUMENT` for wrong types, and `ZERIO_CLAIM_OPEN`
   * when a peer has an open claim, after all others were sent to.
   */
  broadcast(bytes: Uint8Array, channel?: number): number
  broadcast(bytes: Uint8Array, offset: number, length: number, channel?: number): number
  broadcast(bytes: Uint8Array, offset = 0, length?: number, channel = 0): number {
    // Wrong arguments are told before anybody is sent to, and also when nobody is there.
    if (length === undefined) unconnectedRing.sendAll(bytes, offset)
    else unconnectedRing.sendPart(bytes, offset, length, channel)
    const peers = this.#peers
    let taken = 0
    let claimOpen: unknown
    for (let i = 0; i < peers.length; i++) {
      const ring = peers[i]._ring
      try {
        const status =
          length === undefined ? ring.sendAll(bytes, offset) : ring.sendPart(bytes, offset, length, channel)
        if (status === Status.Sent) taken++
      } catch (error) {
        claimOpen = error
      }
    }
    if (claimOpen !== undefined) throw claimOpen
    return taken
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
   * Stops listening, sends what was accepted to each peer within `lingerMs`, and closes. Resolves when all is closed; never
   * rejects. Handlers of `clientDisconnected` run meanwhile. Does nothing when not started.
   */
  stop(): Promise<void> {
    if (this.#state === 'stopping') return this.#stopped as Promise<void>
    if (this.#state === 'starting') {
      this.#state = 'idle'
      this.#starting?.abandon(new ZerioError('ZERIO_STOPPED', 'The server was stopped while it started.'))
      this.#starting = undefined
    }
    if (this.#state === 'idle') return Promise.resolve()
    this.#state = 'stopping'
    this.#stopped = this.#stop(this.#engine as Engine)
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

  async #hosts(starting: Starting): Promise<readonly string[]> {
    return this.#host === undefined ? ['::', '0.0.0.0'] : (await starting.lookup(this.#host)).slice(0, 1)
  }

  #listen(serverId: string, hosts: readonly string[]): void {
    const engine = Engine.for(this.#options)
    const use = new EngineUse(engine, this.#referenced)
    try {
      this.#listenOn(engine, serverId, hosts)
      this.#use = use
    } catch (error) {
      use.release()
      throw error
    }
  }

  #listenOn(engine: Engine, serverId: string, hosts: readonly string[]): void {
    const options = this.#options
    for (const host of hosts) {
      const result = engine.native.listen({
        ...options,
        id: serverId,
        host,
        port: this.#port,
        replaceDuplicates: options.duplicateIds === 'replace',
        asksForVerdict: options.authenticate !== undefined
      })
      if (result.errno === 0) {
        this.#engine = engine
        this.#server = result.server
        this.#listeningHost = result.host
        this.#listeningPort = result.port
        this.#counters = new ServerCounters(engine.listenerCounters(result.server))
        this.#scope = new AsyncResource('ZerioServer', { requireManualDestroy: true })
        engine.setServer(result.server, this.#events(this.#scope))
        return
      }
      if (result.errno === Layout.ErrorTooManyServers) {
        throw new ZerioError(
          'ZERIO_TOO_MANY_SERVERS',
          'An engine has at most 64 servers; stop some, or use more threads.'
        )
      }
      const error = systemError(result.errno, `Cannot listen on ${host} port ${this.#port}`, {
        syscall: 'listen',
        address: host,
        port: this.#port
      })
      // Without IPv6 a server without a host listens on IPv4 alone.
      const next =
        host === '::' && hosts.length > 1 && (error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL')
      if (!next) throw error
    }
  }

  async #stop(engine: Engine): Promise<void> {
    const server = this.#server
    // Somebody waits for the end of a stop, whether or not the server kept the process alive.
    if (this.#use !== undefined) this.#use.referenced = true
    engine.drive(1)
    engine.native.unlisten(server)
    this.#listeningPort = 0
    this.#listeningHost = ''
    for (const peer of this.#peers) this.#leave(peer, CloseCode.GoingAway, '')
    engine.native.closePeers(server, CloseCode.GoingAway)
    if (!this.#isAlone()) {
      await new Promise<void>((resolve) => {
        this.#allReleased = resolve
      })
    }
    this.#allReleased = undefined
    engine.setServer(server, undefined)
    this.#counters._freeze()
    engine.native.forgetServer(server)
    engine.drive(-1)
    this.#use?.release()
    this.#use = undefined
    this.#scope?.emitDestroy()
    this.#state = 'idle'
  }

  /** Whether no connection is left, neither in the engine nor in a batch that is still being dispatched. */
  #isAlone(): boolean {
    return this.#peers.length === 0 && this.#engine?.native.serverSlots(this.#server) === 0
  }

  #events(scope: AsyncResource): ServerEvents {
    return {
      scope,
      asked: (slot, hello) => inOwnScope(() => this.#asked(slot, hello)),
      greeted: (ring, hello) => this.#greeted(ring, hello),
      refused: (reason, count) => inOwnScope(() => this.emit('refused', reason, { count })),
      acceptFailed: (errno) =>
        this.#report(systemErrorName(errno), (count) =>
          systemError(errno, 'Cannot accept a connection', { syscall: 'accept', count })
        ),
      slotReleased: () => {
        // Another connection may have been accepted behind this one's end, in the same batch.
        if (this.#isAlone()) this.#allReleased?.()
      },
      poolRefused: (error) =>
        this.#report(
          error.code,
          (count) => new ZerioError(error.code, error.message, { cause: error.cause, count })
        )
    }
  }

  #asked(slot: number, hello: Hello): void {
    const idEnd = hello.offset + hello.idLength
    const id = hello.buffer.toString('utf8', hello.offset, idEnd)
    const credential = Buffer.from(hello.buffer.subarray(idEnd, idEnd + hello.credentialLength))
    let verdict: unknown = false
    let thrown = false
    let cause: unknown
    try {
      if (this.#state === 'listening') verdict = this.#options.authenticate?.(id, credential)
    } catch (error) {
      // What newcomers send must not end the process.
      thrown = true
      cause = error
    }
    this.#engine?.native.admit(slot, verdict === true)
    if (!thrown && typeof verdict === 'boolean') return
    // A promise is true to JavaScript, whatever becomes of it.
    if (!thrown) new Promise((resolve) => resolve(verdict)).catch(() => {})
    this.#report('ZERIO_AUTHENTICATE_FAILED', (count) => {
      const text = thrown
        ? `The option "authenticate" threw for the peer ${describe(id)}, which was refused; let it return false instead.`
        : `The option "authenticate" must return true or false at once, not ${describe(verdict)}; the peer ${describe(id)} was refused.`
      return new ZerioError('ZERIO_AUTHENTICATE_FAILED', text, thrown ? { cause, count } : { count })
    })
  }

  #greeted(ring: SendRing, hello: Hello): void {
    const engine = this.#engine as Engine
    const id = hello.buffer.toString('utf8', hello.offset, hello.offset + hello.idLength)
    const peer = new Peer(
      {
        closePeer: (one, code, reason) => this._close(one, code, reason),
        terminatePeer: (one) => this.#terminate(one)
      },
      ring,
      id,
      hello.classic,
      remoteAddress(engine, ring.slot)
    )
    ring.open(hello.classic, hello.lengthMax)
    peer._index = this.#peers.push(peer) - 1
    this.#peersById.set(id, peer)
    const connection = new PeerConnection(this, peer)
    engine.setConnection(ring.slot, connection)
    // Greeted in the same batch in which the program called stop.
    if (this.#state !== 'listening') this._close(peer, CloseCode.GoingAway, '')
    connection.scope.runInAsyncScope(() => this.emit('clientConnected', id, peer))
  }

  /** @internal */
  _deliver(peer: Peer, buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    if (this.onMessage != null) this.onMessage(peer, buffer, offset, length, channel)
    if (this.#copies === true && peer._receiving) this.#deliverCopy(peer, buffer, offset, length, channel)
  }

  #deliverCopy(peer: Peer, buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    this.#copies = this.listenerCount('message') > 0
    if (this.#copies)
      this.emit('message', peer.id, Buffer.from(buffer.subarray(offset, offset + length)), channel, peer)
  }

  #watchListeners(): void {
    EventEmitter.prototype.on.call(this, 'newListener', (name: string | symbol) => {
      if (name === 'message') this.#copies = true
    })
  }

  /** @internal */
  _disconnected(peer: Peer, closeCode: number, text: string, errno: number): void {
    // Told twice, which only a program that writes into the events can bring about.
    if (peer._index < 0) return
    const local = !peer._receiving
    peer._receiving = false
    peer._ring.close()
    const last = this.#peers.pop() as Peer
    if (last !== peer) {
      this.#peers[peer._index] = last
      last._index = peer._index
    }
    peer._index = -1
    if (this.#peersById.get(peer.id) === peer) this.#peersById.delete(peer.id)
    const words = text === '' && errno === 0 && closeCode === peer._closeCode ? peer._closeText : text
    this.emit('clientDisconnected', peer.id, new DisconnectReason(closeCode, words, errno, local), peer)
  }

  /** @internal */
  _close(peer: Peer, code: number, reason: string): void {
    if (this.#leave(peer, code, reason)) this.#engine?.native.close(peer._ring.slot, code, reason)
  }

  /** Nothing more is accepted or delivered. Returns false when that was so already. */
  #leave(peer: Peer, code: number, reason: string): boolean {
    if (!peer._receiving) return false
    peer._receiving = false
    peer._closeCode = code
    peer._closeText = reason
    peer._ring.close()
    return true
  }

  #terminate(peer: Peer): void {
    peer._receiving = false
    peer._ring.close()
    this.#engine?.abort(peer._ring)
  }

  /** Outsiders can cause this again and again: an error that is not reported is not even made. */
  #report(code: string, make: (count: number) => ZerioError): void {
    const count = this.#errorRate.count(code)
    if (count === 0) return
    const error = make(count)
    if (this.listenerCount('error') > 0) inOwnScope(() => this.emit('error', error))
    else {
      if (count > 1) error.message += ` (${count} times)`
      process.emitWarning(error)
    }
  }
}

/** What a handler enters into its async context (`AsyncLocalStorage.enterWith`) is not seen by the server's next event. */
function inOwnScope(run: () => void): void {
  const scope = new AsyncResource('ZerioServer', { requireManualDestroy: true })
  try {
    scope.runInAsyncScope(run)
  } finally {
    scope.emitDestroy()
  }
}

/** Empty when the system has forgotten it already. */
function remoteAddress(engine: Engine, slot: number): string {
  const { remoteHost, remotePort } = engine.native.addresses(slot)
  if (remoteHost === '') return ''
  // An IPv4 address on a listener for both.
  const host = remoteHost.replace(/^::ffff:(?=\d+\.)/, '')
  return host.includes(':') ? `[${host}]:${remotePort}` : `${host}:${remotePort}`
}

function ringOfNobody(peerId: unknown): SendRing {
  if (typeof peerId !== 'string')
    throw misuse('ZERIO_BAD_ARGUMENT', `A peer id is a string, not ${describe(peerId)}.`)
  return unconnectedRing
}
