// What the engine needs to know of the objects that its events belong to: connections and listening servers.
import type { AsyncResource } from 'node:async_hooks'
import type { ZerioError } from '../errors.js'
import type { DisconnectReason } from '../reason.js'
import type { TopicOpcode } from './layout.js'
import type { PoolBuffer } from './pool.js'
import type { SendRing } from './send_ring.js'

/** What the other side said in its handshake: an id, and a credential right behind it. */
export interface Hello {
  readonly buffer: Buffer
  /** Where the id begins, in bytes. */
  readonly offset: number
  readonly idLength: number
  readonly credentialLength: number
  readonly classic: boolean
  readonly inSession: boolean
  /** Whether both sides have topics. */
  readonly hasTopics: boolean
  /** The longest message that the other side accepts, in bytes. */
  readonly lengthMax: number
}

/** What a connection holds back that the program has paused: messages that the engine had read. */
export interface HeldBack {
  /** The async context in which they are delivered. */
  readonly scope: AsyncResource
  /** Whether there are any. */
  readonly holds: boolean
  /** Of the message that is being delivered: its number, or 0, and when it was received, or NaN. */
  readonly number: number
  readonly receivedAt: number
  /** Takes the frames of a run, or what is left of it. `number` is that of the first one. */
  hold(buffer: PoolBuffer, from: number, to: number, number: number, receivedAt: number): void
  /** In the scope: delivers them, until the program pauses again. Returns how many. */
  deliver(): number
  /** Likewise, all of them, when the connection has ended: the program hears of all that came before. */
  deliverAll(): number
}

/**
 * One TCP connection, as the engine sees it: a server's peer, or one attempt of a client. `Peer` is public, therefore the names begin
 * with an underscore.
 */
export interface Connection {
  /** The async context in which its events are delivered. */
  readonly _scope: AsyncResource
  /** Whether messages are delivered at once. Otherwise it is paused, or has ended. */
  _receiving: boolean
  /** Whether nothing is delivered any more. */
  readonly _over: boolean
  /** What it holds back; undefined while it was never paused. */
  readonly _pausing: HeldBack | undefined
  /** One message. It is valid until this returns. */
  _deliver(buffer: PoolBuffer, offset: number, length: number, channel: number): void
  /** Whether its program reads frames itself. */
  readonly _takesRuns: boolean
  /** Whole frames, for such a program. They are valid until this returns. */
  _deliverRun(buffer: PoolBuffer, offset: number, end: number, count: number): void
  /** A client's connection is there, and its HELLO is held back. */
  _reached(): void
  /** The server has taken this client. `hello` is valid until this returns. */
  _connected(hello: Hello): void
  _connectFailed(reason: DisconnectReason): void
  /**
   * The connection has ended. `text` is the reason that the other side sent, or empty; `errno` is 0 or the system's error;
   * `unacknowledged` is how many messages of a session the other side may not have.
   */
  _disconnected(closeCode: number, text: string, errno: number, unacknowledged: number): void
  /** The connection of a session broke. The ring goes on to accept messages. */
  _suspended(reason: DisconnectReason): void
  /** A peer's session has a new connection, of which `ring` is the ring. */
  _resumed(ring: SendRing, lengthMax: number): void
  /** The send ring has room again for a message that it refused. */
  _drained(): void
  /** The PING that the program asked for is answered. */
  _answered(): void
  /** A peer asks to be in a topic, or not any more. */
  _topicAsked(opcode: TopicOpcode, request: number, name: string): void
  /** The server has answered such a request of this client. */
  _topicAnswered(request: number, code: number, text: string): void
  /** The other side sends nothing any more, and this side still can. */
  _ended(): void
  /** Nothing came for `idleTimeoutMs`: the connection ends unless the program sets another limit before this returns. */
  _idle(): void
  /** The slot begins another life; no event follows. */
  _released(): void
}

/** A listening server, as the engine sees it. */
export interface ServerEvents {
  /** The async context in which its events are delivered. */
  readonly scope: AsyncResource
  /** A connection has said who it is, and the program decides; `hello` is valid until this returns. */
  asked(slot: number, hello: Hello): void
  /** A connection is a peer now; `hello` is valid until this returns. */
  greeted(ring: SendRing, hello: Hello): void
  /** `count` refusals of this kind since the last report; `place` is for `NativeEngine.refusedPeer`. */
  refused(reason: DisconnectReason, count: number, place: number): void
  acceptFailed(errno: number): void
  /** A connection of the server has let go of its slot. */
  slotReleased(slot: number): void
  poolRefused(error: ZerioError): void
}
