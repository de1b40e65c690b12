// Loads the addon and types what it exports (addon/binding/addon.cc).
import { join } from 'node:path'
import { ZerioError } from '../errors.js'
import type { ResolvedConditions } from '../options/options.js'
import { borderMismatch } from './border.js'
import type { Setting, TopicOpcode } from './layout.js'
import { engineLeftOut, loadError } from './load_error.js'
import { thisTarget } from './target.js'

export interface ListenRequest {
  id: string
  /** A numeric address, or `unix:` and a path. */
  host: string
  port: number
  /** A socket that listens already, instead of host and port. */
  fd: number | undefined
  /** The server that gets one more address by this, with the options that it has; undefined for a new one. */
  server: number | undefined
  backlog: number
  ipv6Only: boolean
  reusePort: boolean
  noDelay: boolean
  socketSendBytes: number
  socketReceiveBytes: number
  maxPeers: number
  maxHandshakes: number
  handshakeTimeoutMs: number
  lingerMs: number
  heartbeatMs: number
  idleTimeoutMs: number
  allowHalfOpen: boolean
  keepAliveMs: number
  userTimeoutMs: number
  replaceDuplicates: boolean
  asksForVerdict: boolean
  allowClassic: boolean
  /** 0: none are kept. */
  sessionsMax: number
  resumeMsMax: number
}

export interface ConnectRequest {
  id: string
  /** As that of {@link ListenRequest}. */
  host: string
  port: number
  /** A numeric address, when the system is not to choose where the connection comes from. */
  sourceHost: string | undefined
  sourcePort: number | undefined
  credential: Uint8Array
  classic: boolean
  connectTimeoutMs: number
  /** Whether the engine reports `Reached` and waits for `greet` before it says who this client is. */
  holdsHello: boolean
  /** How long a session waits for its next connection; 0 without one. */
  resumeMs: number
  /** The slot of the suspended connection whose session is to be resumed; -1 for a new one. */
  resumes: number
  lingerMs: number
  heartbeatMs: number
  idleTimeoutMs: number
  allowHalfOpen: boolean
  keepAliveMs: number
  userTimeoutMs: number
  noDelay: boolean
  socketSendBytes: number
  socketReceiveBytes: number
}

/** Where the parts of a slab begin in its memory, and of how many slots they are. */
export interface SlabParts {
  readonly slotsOffset: number
  readonly ringsOffset: number
  readonly assembliesOffset: number
  readonly count: number
}

export interface NativeEngine {
  /** Positive when the engine could not be made; then nothing else is there. */
  readonly errno: number
  readonly backend: string
  /** Whether the backend has copied what it took of a send when that returns: then `share` can be used. */
  readonly copiesAtOnce: boolean
  /** 0, or an error. */
  addSlab(memory: Uint8Array, parts: SlabParts): number
  slabRefused(): void
  /** Whether the engine has let go of the last slab. */
  removeSlab(): boolean
  slotsFree(): number
  listen(request: ListenRequest): { errno: number; server: number; host: string; port: number }
  /** The slot, or a negative errno value. */
  connect(request: ConnectRequest): number
  unlisten(server: number): void
  closePeers(server: number, code: number): void
  serverIsOver(server: number): boolean
  forgetServer(server: number): void
  /** Sends the HELLO that was held back; while `Reached` is dispatched. */
  greet(slot: number): void
  /** Moves what a suspended connection's ring holds to the connection that resumes its session; false when there is nothing to move. */
  adopt(slot: number, oldSlot: number): boolean
  /** The program's verdict: while `Asked` is dispatched, or later when it was postponed then. */
  admit(slot: number, admitted: boolean): void
  /** While `Asked` is dispatched: the verdict comes later. */
  postpone(slot: number): void
  close(slot: number, code: number, reason: string): void
  /** A client's SUBSCRIBE or UNSUBSCRIBE with a number of its own; `TopicAnswer` is reported when the server has answered. */
  requestTopic(slot: number, opcode: TopicOpcode, request: number, name: string): void
  /** A server's answer to a `TopicRequest`; the code is 0 when it was done. */
  answerTopic(slot: number, request: number, code: number, reason: string): void
  /** Sends the end of the stream behind what was accepted. */
  end(slot: number): void
  abort(slot: number): void
  /** Stops to receive from an open connection, or goes on with it. What the system has received already may still come. */
  pause(slot: number, paused: boolean): void
  /** Sends a PING; `Pong` is reported when it is answered. */
  ask(slot: number): void
  /** The answer came too late: PINGs of heartbeats are measured again. */
  askNoMore(slot: number): void
  /** Changes an option of a connection. */
  configure(slot: number, setting: Setting, value: number): void
  addresses(slot: number): { localHost: string; localPort: number; remoteHost: string; remotePort: number }
  /** Whom an event `Refused` is about, while it is dispatched; undefined for a number that no such event has. */
  refusedPeer(place: number): { id: string; remoteHost: string; remotePort: number } | undefined
  /** Writes what the system's TCP knows of an open connection into an array for `StatusField`. */
  readTcpStatus(slot: number, target: Float64Array): void
  /** From now on the loop delivers the events of a server, or of a slot, in the async context that is current now. */
  openScope(ofServer: boolean, index: number): void
  closeScope(ofServer: boolean, index: number): void
  /** The number of the engine's waker, which runs `run`; 0 when it is refused. */
  openWaker(run: () => void): number | undefined
  /** From now on the waker runs in the async context that is current now. */
  openWakerScope(): void
  /** Hands over what the rings hold, and waits for room as long as each connection may linger. */
  handOver(): void
  /** As handOver(), for one connection. */
  handOverSlot(slot: number): void
  /** How much physical memory the system has locked for the engine; undefined when the engine is closed. */
  lockedBytes(): number | undefined
  /** Ends the engine. Every function does nothing afterwards. */
  closeEngine(): void
  setActive(active: boolean): void
  setReferenced(referenced: boolean): void
  setDriven(driven: boolean): void
  /** Begins a batch; how many events it has is in the word EventsProduced. */
  poll(): void
  flush(): void
  flushSlot(slot: number): void
  /** Sends what connections lack of shared frames: addon/engine/shared_frames.h. */
  share(bytes: Uint8Array, slots: Int32Array, sent: Int32Array, refused: Int32Array, words: Int32Array): void
  /** Copies a part of one array into another one, without garbage. */
  copyBytes(
    target: Uint8Array,
    offset: number,
    source: Uint8Array,
    sourceOffset: number,
    length: number
  ): void
  copy(slab: number, offset: number, source: Uint8Array, sourceOffset: number, length: number): void
  /**
   * Sends a message from where it lies, if nothing waits in front of it. Returns how many bytes of the frame the system has taken: what is
   * left of it is to follow in the ring, where the frame would begin at this position. 0 when it is to go through the ring as a whole.
   */
  sendStraight(
    slot: number,
    position: number,
    header: number,
    source: Uint8Array,
    offset: number,
    length: number
  ): number
}

/** Those of conditions are there when the network is to be a bad one. */
export interface NativeEngineOptions extends Partial<ResolvedConditions> {
  backend: string
  /** Whether a thread waits for the engine, because there is no libuv. */
  portableLoop: boolean
  waitStrategy: number
  spinUs: number
  maxMessageLength: number
  sendRingBytes: number
  assemblyBytes: number
  receiveArenaBytes: number
  arenaOffset: number
  eventsCapacity: number
}

interface Native {
  createEngine(
    memory: Uint8Array,
    firstSlab: SlabParts,
    options: NativeEngineOptions,
    dispatch: () => void,
    goOn: () => void,
    flush: () => void
  ): NativeEngine
  makeClock(words: Float64Array): () => void
  /** Fills an array for `StatusField`; what the system's TCP knows is unknown then, and readTcpStatus() adds it. */
  readStatus(target: Float64Array, counters: Float64Array, connection: number, pendingBytes: number): void
  /** On any thread. False when there is no such waker any more. */
  wake(waker: number): boolean
  /** What this build has for this system, the best first. */
  readonly backends: readonly string[]
  /** 0, or the errno value with which the system refuses this backend. */
  probeBackend(backend: string): number
  readonly layout: Readonly<Record<string, number>>
}

function pathOfBinary(): string {
  // A bundler has made an ES module of this file, whose folder is not that of the package.
  if (typeof __dirname === 'undefined') throw engineLeftOut()
  // Published ones and those that are built from source are in the same place.
  return join(__dirname, '..', '..', 'prebuilds', thisTarget(), 'zerio.node')
}

function load(path: string): Native {
  let loaded: Native
  try {
    loaded = require(path) as Native
  } catch (cause) {
    throw loadError(path, cause)
  }
  const mismatch = borderMismatch(loaded.layout)
  if (mismatch !== undefined) {
    throw new ZerioError(
      'ZERIO_NO_BINARY',
      `The native engine ${path} is of another build than zerio's JavaScript (${mismatch} differs). Install the package anew; in a checkout run "npm run build".`
    )
  }
  return loaded
}

export const native: Native = load(pathOfBinary())
