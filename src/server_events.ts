// What a server tells its program: its states, and its events with their arguments.
import type { ZerioError } from './errors.js'
import type { Peer } from './peer.js'
import type { DisconnectReason } from './reason.js'

/** What a server does; see {@link ZerioServer.state}. */
export type ServerState = 'idle' | 'starting' | 'listening' | 'serving' | 'stopping'

/** What a `refused` event says beside the reason. */
export interface RefusedDetails {
  /** How many refusals with this reason the event stands for. `remoteAddress` and `peerId` are those of the first of them. */
  readonly count: number
  /**
   * Where the connection came from, in the form of {@link Peer.remoteAddress}. Empty when the system had forgotten it, because the other
   * side had reset the connection for instance, and when the server had no place for the connection at all.
   */
  readonly remoteAddress: string
  /** The id that the other side gave, which anyone can give. Empty when none was read, or none that may be a peer's. */
  readonly peerId: string
}

/** Events of {@link ZerioServer} and their arguments. */
export interface ServerEventMap {
  /** A peer is connected. Emitted before its first message is delivered. */
  clientConnected: [peerId: string, peer: Peer]
  /** A peer is gone. Emitted exactly once for each `clientConnected`, after the peer's last message. */
  clientDisconnected: [peerId: string, reason: DisconnectReason, peer: Peer]
  /**
   * The connection of a peer with a session broke. What is sent to the peer waits for its next connection; `clientResumed` follows, or
   * `clientDisconnected` when it does not come back in time.
   */
  clientSuspended: [peerId: string, reason: DisconnectReason, peer: Peer]
  /** A peer whose session was suspended is connected again. Nothing was lost. Emitted before its next message is delivered. */
  clientResumed: [peerId: string, peer: Peer]
  /**
   * With the option `allowHalfOpen`: a peer sends nothing any more, and still reads. Comes after its last message; `clientDisconnected`
   * follows when this side calls `peer.end` or `peer.close`.
   */
  clientEnded: [peerId: string, peer: Peer]
  /** A message, copied into a Buffer that the program may keep. Each copy is garbage; `onMessage` makes none. */
  message: [peerId: string, message: Buffer, channel: number, peer: Peer]
  /** The send ring of a peer that refused a message with `BackPressured` has room for it now. */
  drain: [peer: Peer]
  /**
   * Nothing came from this peer for `idleTimeoutMs`. Its connection ends (`ZERIO_IDLE_TIMEOUT`) as soon as the handlers have returned,
   * unless one of them has called `peer.setIdleTimeout`, or `peer.configure` with `idleTimeoutMs`.
   */
  idle: [peer: Peer]
  /**
   * A connection was closed before it became a peer. `count` is 1 up to a hundred refusals of a kind at once and a hundred a second;
   * beyond that one event stands for so many of them.
   */
  refused: [reason: DisconnectReason, details: RefusedDetails]
  /**
   * The machine refused something (`EMFILE` at accept, no memory for pools), or `authenticate` gave no answer
   * (`ZERIO_AUTHENTICATE_FAILED`). The server goes on. Emitted as often as `refused`, with the number in `error.count`. Without a
   * listener the error becomes a process warning.
   */
  error: [error: ZerioError]
}
