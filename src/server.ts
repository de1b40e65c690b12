// ZerioServer: listens, greets peers, and hands their messages to the program.
import { AsyncResource } from 'node:async_hooks'
import { addressesOf, refusedPeerOf } from './connecting/addresses.js'
import { Admission } from './connecting/admission.js'
import { descriptorIsClosed, listenOnAll, type Target, targetsOf } from './connecting/listening.js'
import { Starting, type StartOptions, withSignal } from './connecting/starting.js'
import { ServerCounters } from './counters.js'
import { because, debugLog } from './debug_log.js'
import { Endpoint } from './endpoint.js'
import type { Hello, ServerEvents } from './engine/connection.js'
import type { Engine } from './engine/engine.js'
import { Layout, type TopicOpcode } from './engine/layout.js'
import type { PoolBuffer } from './engine/pool.js'
import { EngineUse, engineFor } from './engine/registry.js'
import { ReportRate } from './engine/report_rate.js'
import type { SendRing } from './engine/send_ring.js'
import { unconnectedRing } from './engine/unconnected_ring.js'
import { misuse, systemError, systemErrorName, ZerioError } from './errors.js'
import {
  type CheckedAddress,
  checkServerAddresses,
  type ListeningAddress,
  placeText,
  type ServerAddress
} from './options/address.js'
import {
  checkPeerId,
  checkStartOptions,
  describe,
  type ResolvedServerOptions,
  resolveServerOptions,
  type ServerOptions,
  type TopicOptions
} from './options/options.js'
import { Peer, type ServerMessageHandler, type ServerRunHandler } from './peer.js'
import { CloseCode, type DisconnectReason } from './reason.js'
import type { ServerEventMap, ServerState } from './server_events.js'
import type { SendStatus } from './status.js'
import { answerRequest, type SubscribeHandler } from './topics/requests.js'
import type { Topic } from './topics/topic.js'
import { Topics } from './topics/topics.js'

export type { RefusedDetails, ServerEventMap, ServerState } from './server_events.js'

/**
 * A server of messages.
 *
 * ```js
 * const server = new ZerioServer(48654)
 * server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
 * await server.start('server')
 * ```
 */
export class ZerioServer extends Endpoint<ServerEventMap> {
  /**
   * Options for servers that are made from now on in this thread and are not given them. An option given as undefined counts as not
   * given. The constructor checks them, and throws `ZERIO_BAD_OPTION` for a mistake. Default: none.
   */
  static defaults: ServerOptions = {}

  /**
   * Called for each message; see {@link ServerMessageHandler}. Without it and without a `message` listener messages are dropped. May be
   * replaced at any time.
   */
  onMessage: ServerMessageHandler | null | undefined = null

  /**
   * Called for all messages of a peer that lie one behind the other, instead of {@link onMessage}; see {@link ServerRunHandler}. May be
   * replaced at any time. Default: null.
   */
  onRun: ServerRunHandler | null | undefined = null

  /**
   * Called when a client asks to be in the topic of this name (`client.subscribe`). True makes the peer a member, if there is an open topic
   * of this name then, which the handler may make; anything else, an exception too, refuses with `ZERIO_SUBSCRIBE_REFUSED`. A promise is an
   * exception: `ZERIO_BAD_ARGUMENT`. Without a
   * handler every client is refused. A peer that is a member already stays one, whatever the answer. May be replaced at any time.
   */
  onSubscribe: SubscribeHandler | null | undefined = null

  readonly #options: ResolvedServerOptions
  readonly #addresses: readonly CheckedAddress[]
  /** Whether the descriptors of its addresses were the server's once. */
  #hadDescriptor = false
  readonly #peersById = new Map<string, Peer>()
  readonly #peers: Peer[] = []
  #use: EngineUse | undefined
  #scope: AsyncResource | undefined
  #server = -1
  #id = ''
  /** Empty when it does not listen. */
  #listening: readonly ListeningAddress[] = []
  #counters = new ServerCounters(new Float64Array(Layout.ServerCounters))
  #onOver: (() => void) | undefined
  readonly #errorRate = new ReportRate()
  readonly #admission: Admission | undefined
  readonly #topics: Topics

  /**
   * Checks its arguments; memory and sockets are taken by {@link start}. Throws `ZERIO_BAD_ARGUMENT`, `ZERIO_BAD_OPTION` and
   * `ZERIO_ADDRESS_UNSUPPORTED`.
   *
   * @param address a port, or host and port; 0 to 65,535, and 0 means any free port. Or the path of a Unix domain socket, or the
   * descriptor of a socket that listens already. Or an array of 1 to 16 of these: the server listens on all of them, or on none, and has
   * one set of peers, options and counters.
   * @param options see docs/options.md.
   */
  constructor(address: ServerAddress | readonly ServerAddress[], options?: ServerOptions) {
    super('server')
    this.#addresses = checkServerAddresses(address)
    this.#options = resolveServerOptions(options, new.target.defaults)
    const { authenticate, maxMessageLength } = this.#options
    this.#topics = new Topics(
      maxMessageLength,
      (peer) => this.#peers[peer._index] === peer,
      () => this._engine?.sending.audienceEngine
    )
    if (authenticate !== undefined)
      this.#admission = new Admission(authenticate, (code, make) => this.#report(code, make))
  }

  /**
   * Listens. When it resolves, {@link listeningPort} is known. Can be called again after `stop`.
   *
   * Rejects with the system's code (`EADDRINUSE`, `EACCES`, `ENOTFOUND`, `ENOTSOCK`, …), `ZERIO_BAD_PEER_ID`, `ZERIO_ALREADY_STARTED`,
   * `ZERIO_STOPPING`, `ZERIO_BACKEND_UNAVAILABLE`, `ZERIO_OUT_OF_MEMORY`, `ZERIO_TOO_MANY_SERVERS`, `ZERIO_BAD_ARGUMENT`,
   * `ZERIO_BAD_LOOKUP`, `ABORT_ERR` when the signal is aborted, or `ZERIO_STOPPED` when `stop` is called meanwhile.
   *
   * @param serverId the name that native clients get; 1 to 255 bytes of UTF-8 without control characters.
   */
  async start(serverId: string, options?: StartOptions): Promise<void> {
    checkPeerId(serverId, false)
    const { signal } = checkStartOptions(options)
    const starting = new Starting()
    await this._start(starting, async () => {
      const listen = async (): Promise<void> => {
        const lookup = (name: string): Promise<readonly string[]> =>
          starting.lookup(name, this.#options.lookup)
        const targets = await targetsOf(this.#addresses, lookup)
        starting.check()
        this.#listen(serverId, targets)
        // In the same turn: a stop that comes before this start resolves has a server to stop.
        this._state = 'running'
      }
      await withSignal(signal, (error) => starting.abandon(error), listen)
    })
  }

  /** @internal */
  protected override _uses(): Iterable<EngineUse> {
    return this.#use === undefined ? [] : [this.#use]
  }

  /** What the server does. `serving` is the time from {@link stopListening} until the last peer has left. */
  get state(): ServerState {
    if (this._state !== 'running') return this._state as ServerState
    return this.#listening.length === 0 ? 'serving' : 'listening'
  }

  /** The port on which the server listens; 0 when it does not, and for a Unix domain socket. Of several addresses that of the first. */
  get listeningPort(): number {
    return this.#listening[0]?.port ?? 0
  }

  /**
   * The numeric address on which the server listens; empty when it does not, and for a Unix domain socket. Of several addresses that of
   * the first.
   */
  get listeningHost(): string {
    return this.#listening[0]?.host ?? ''
  }

  /**
   * The path of the Unix domain socket on which the server listens, as it was given. That of a `fd` is as the system has it, with @ for
   * the zero byte of a name without a file. Empty when the server does not listen, and for a port. Of several addresses that of the
   * first.
   */
  get listeningPath(): string {
    return this.#listening[0]?.path ?? ''
  }

  /** All places where the server listens, in the order in which they were given; empty when it does not listen. Allocates an array. */
  get listeningAddresses(): ListeningAddress[] {
    return this.#listening.slice()
  }

  /** How many peers are connected. */
  get peerCount(): number {
    return this.#peers.length
  }

  /** The connected peers, in no particular order. Allocates an array. */
  get peers(): Peer[] {
    return this.#peers.slice()
  }

  /** Counters of this server since its last start. Reading them allocates nothing. They stay readable after `stop`. */
  get counters(): ServerCounters {
    return this.#counters
  }

  /** The connected peer with this id, or undefined. Allocates nothing. */
  peer(peerId: string): Peer | undefined {
    return this.#peersById.get(peerId)
  }

  /**
   * Sends one message to one peer: all of `bytes`, or `length` of them from `offset`. The bytes are copied before it returns. Allocates
   * nothing. Returns a {@link SendStatus}, `NotConnected` for an unknown id. Throws `ZERIO_BAD_ARGUMENT` for wrong types and
   * `ZERIO_CLAIM_OPEN` while that peer has a claim open.
   *
   * @param channel 0 (default) to 127; classic peers have channel 0 alone.
   */
  send(peerId: string, bytes: Uint8Array, channel?: number): SendStatus
  send(peerId: string, bytes: Uint8Array, offset: number, length: number, channel?: number): SendStatus
  send(peerId: string, bytes: Uint8Array, offset = 0, length?: number, channel = 0): SendStatus {
    const peer = this.#peersById.get(peerId)
    const ring = peer === undefined ? ringOfNoPeer(peerId) : peer._ring
    return length === undefined ? ring.sendAll(bytes, offset) : ring.sendPart(bytes, offset, length, channel)
  }

  /**
   * Sends one message to all connected peers. Returns for how many it was accepted: peers whose ring is full, who do not accept the
   * length or who have no channels are left out. The bytes are copied before it returns. Allocates nothing. Throws
   * `ZERIO_BAD_ARGUMENT` for wrong types, and `ZERIO_CLAIM_OPEN` when a peer has an open claim, after it has sent to all others.
   *
   * @param channel 0 (default) to 127; classic peers have channel 0 alone.
   */
  broadcast(bytes: Uint8Array, channel?: number): number
  broadcast(bytes: Uint8Array, offset: number, length: number, channel?: number): number
  broadcast(bytes: Uint8Array, offset = 0, length?: number, channel = 0): number {
    const everyone = this.#topics.everyone(this.#peers)
    return length === undefined
      ? everyone.publish(bytes, offset)
      : everyone.publish(bytes, offset, length, channel)
  }

  /**
   * The topic of this name, which is made when there is none: a set of peers that get the same messages. Topics can be made before `start`,
   * and end with `stop`. Making one allocates all that its options ask for. Throws `ZERIO_BAD_ARGUMENT`, `ZERIO_BAD_OPTION` also for options
   * that differ from those of the topic that is there, and `ZERIO_OUT_OF_MEMORY`.
   *
   * @param name 1 to 255 bytes of UTF-8 without control characters.
   * @param options see docs/options.md.
   */
  topic(name: string, options?: TopicOptions): Topic {
    return this.#topics.topic(name, options)
  }

  /**
   * Stops listening, sends each peer what was accepted for it within `lingerMs`, and closes its connection. Resolves when all
   * connections are closed; never rejects. Closes all topics at once, and at the end those that were made meanwhile. `clientDisconnected` is
   * emitted meanwhile. A `start` under way rejects with `ZERIO_STOPPED`. Does nothing when not started.
   */
  override stop(): Promise<void> {
    if (this._state === 'stopping') return this._stopped as Promise<void>
    if (this._state === 'idle') return Promise.resolve()
    this.#topics.closeAll()
    if (this._state === 'starting') {
      this._state = 'idle'
      this._starting?.abandon(new ZerioError('ZERIO_STOPPED', 'The server was stopped while it started.'))
      this._starting = undefined
      return Promise.resolve()
    }
    this._state = 'stopping'
    this._stopped = this.#stop(this._engine as Engine)
    return this._stopped
  }

  /**
   * Takes no more connections, as before a restart; the peers stay. Newcomers are refused with
   * `ZERIO_GOING_AWAY`, or closed when their first frame is not complete. When the last peer has
   * left, the server stops by itself. Does nothing when the server does not listen.
   */
  stopListening(): void {
    if (this.state !== 'listening') return
    debugLog?.(`server ${this.#id} listens no more; peers: ${this.#peers.length}`)
    this.#listenNoMore(this._engine as Engine)
    this.#endIfOver()
  }

  #listenNoMore(engine: Engine): void {
    engine.native.unlisten(this.#server)
    this.#listening = []
  }

  #listen(serverId: string, targets: readonly Target[]): void {
    const engine = engineFor(this.#options)
    const use = new EngineUse(engine, this._referenced)
    try {
      this.#listenOn(engine, serverId, targets)
      this.#use = use
    } catch (error) {
      use.release()
      throw error
    }
  }

  #listenOn(engine: Engine, serverId: string, targets: readonly Target[]): void {
    const options = this.#options
    const adopted = this.#addresses.find((one) => one.kind === 'descriptor')
    if (adopted !== undefined && this.#hadDescriptor) throw descriptorIsClosed(adopted.fd)
    const settings = {
      ...options,
      id: serverId,
      replaceDuplicates: options.duplicateIds === 'replace',
      asksForVerdict: options.authenticate !== undefined
    }
    const { server, listening } = listenOnAll(engine.native, settings, targets, () => {
      this.#hadDescriptor = true
    })
    this._engine = engine
    this.#server = server
    this.#listening = listening
    this.#counters = new ServerCounters(engine.listenerCounters(server))
    this.#scope = new AsyncResource('ZerioServer', { requireManualDestroy: true })
    engine.setServer(server, this.#events(this.#scope))
    this.#id = serverId
    for (const { host, port, path } of listening) {
      const place = path === '' ? placeText(host, port) : `unix:${path}`
      debugLog?.(`server ${serverId} listens on ${place}, by ${engine.backend}`)
    }
  }

  async #stop(engine: Engine): Promise<void> {
    const server = this.#server
    debugLog?.(`server ${this.#id} stops`)
    // The program waits for the end of a stop, whether or not the server kept the process alive.
    if (this.#use !== undefined) this.#use.referenced = true
    engine.drive(1)
    this.#listenNoMore(engine)
    for (const peer of this.#peers) peer._leave(CloseCode.GoingAway, '')
    engine.native.closePeers(server, CloseCode.GoingAway)
    if (!this.#isOver()) {
      await new Promise<void>((resolve) => {
        this.#onOver = resolve
      })
    }
    this.#onOver = undefined
    this.#topics.closeAll()
    this.#admission?.releasedAll()
    engine.setServer(server, undefined)
    this.#counters._freeze()
    engine.native.forgetServer(server)
    engine.drive(-1)
    this.#use?.release()
    this.#use = undefined
    this.#scope?.emitDestroy()
    this._state = 'idle'
    debugLog?.(`server ${this.#id} has stopped`)
  }

  /**
   * Ends the stop that waits for connections and reports, or begins it. More can follow in the same batch, so the engine is asked each
   * time.
   */
  #endIfOver(): void {
    if (this.#onOver !== undefined && this.#isOver()) this.#onOver()
    else if (this.state === 'serving' && this.#isOver()) void this.stop()
  }

  /** Whether no connection and no report is left, neither in the engine nor in a batch that is still being dispatched. */
  #isOver(): boolean {
    return this.#peers.length === 0 && this._engine?.native.serverIsOver(this.#server) === true
  }

  #events(scope: AsyncResource): ServerEvents {
    return {
      scope,
      asked: (slot, hello) => inOwnScope(() => this.#asked(slot, hello)),
      greeted: (ring, hello) => this.#greeted(ring, hello),
      refused: (reason, count, place) => {
        const who = refusedPeerOf(this._engine as Engine, place)
        debugLog?.(
          `server ${this.#id} has refused ${count}: ${because(reason)}; ${who.peerId || '?'} from ${who.remoteAddress || '?'}`
        )
        try {
          inOwnScope(() => this.emit('refused', reason, { count, ...who }))
        } finally {
          this.#endIfOver()
        }
      },
      acceptFailed: (errno) =>
        this.#report(systemErrorName(errno), (count) =>
          systemError(errno, 'Cannot accept a connection', { syscall: 'accept', count })
        ),
      slotReleased: (slot) => {
        this.#admission?.released(slot)
        this.#endIfOver()
      },
      poolRefused: (error) =>
        this.#report(
          error.code,
          (count) => new ZerioError(error.code, error.message, { cause: error.cause, count })
        )
    }
  }

  #asked(slot: number, hello: Hello): void {
    const engine = this._engine as Engine
    if (this._state === 'running') this.#admission?.ask(engine, slot, hello)
    else engine.native.admit(slot, false)
  }

  #greeted(ring: SendRing, hello: Hello): void {
    const engine = this._engine as Engine
    const id = hello.buffer.toString('utf8', hello.offset, hello.offset + hello.idLength)
    const peer = new Peer(this, engine, ring, id, hello.classic, addressesOf(engine, ring.slot).remote)
    ring.open(hello.classic, hello.lengthMax, hello.inSession)
    peer._inSession = hello.inSession
    peer._index = this.#peers.push(peer) - 1
    this.#peersById.set(id, peer)
    this.#topics.joined(peer)
    engine.setConnection(ring.slot, peer)
    debugLog?.(`server ${this.#id}: peer ${id} is here, ${peer.protocol}, from ${peer.remoteAddress}`)
    // Greeted in the same batch in which the program called stop.
    if (this._state !== 'running') peer._close(CloseCode.GoingAway, '')
    peer._scope.runInAsyncScope(() => this.emit('clientConnected', id, peer))
  }

  /** @internal */
  _deliverCopy(peer: Peer, buffer: PoolBuffer, offset: number, length: number, channel: number): void {
    if (this._wantsCopy())
      this.emit('message', peer.id, Buffer.from(buffer.subarray(offset, offset + length)), channel, peer)
  }

  /** @internal */
  _left(peer: Peer, reason: DisconnectReason): void {
    const last = this.#peers.pop() as Peer
    if (last !== peer) {
      this.#peers[peer._index] = last
      last._index = peer._index
    }
    peer._index = -1
    if (this.#peersById.get(peer.id) === peer) this.#peersById.delete(peer.id)
    debugLog?.(`server ${this.#id}: peer ${peer._label} has left: ${because(reason)}`)
    this.#topics.left(peer)
    this.emit('clientDisconnected', peer.id, reason, peer)
  }

  /** @internal */
  _drained(peer: Peer): void {
    try {
      this.emit('drain', peer)
    } finally {
      this.#topics.drained(peer)
    }
  }

  /** @internal */
  _topicAsked(peer: Peer, opcode: TopicOpcode, request: number, name: string): void {
    answerRequest(this._engine as Engine, this.#topics, this.onSubscribe, peer, opcode, request, name)
  }

  /** @internal */
  _ended(peer: Peer): void {
    this.emit('clientEnded', peer.id, peer)
  }

  /** @internal */
  _suspended(peer: Peer, reason: DisconnectReason): void {
    this.emit('clientSuspended', peer.id, reason, peer)
  }

  /** @internal */
  _resumed(peer: Peer): void {
    this.emit('clientResumed', peer.id, peer)
  }

  /** Remote machines can cause the same error again and again: one that is not reported is not even made. */
  #report(code: string, make: (count: number) => ZerioError): void {
    const count = this.#errorRate.count(code)
    if (count === 0) return
    const error = make(count)
    debugLog?.(`server ${this.#id} met ${count}: ${because(error)}`)
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

function ringOfNoPeer(peerId: unknown): SendRing {
  if (typeof peerId !== 'string')
    throw misuse('ZERIO_BAD_ARGUMENT', `A peer id is a string, not ${describe(peerId)}.`)
  return unconnectedRing
}
