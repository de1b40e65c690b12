// What a client tells its program: its states, and its events with their arguments.
import type { ZerioError } from '../errors.js'
import type { DisconnectReason } from '../reason.js'

/** What a client does; see {@link ZerioClient.state}. */
export type ClientState = 'idle' | 'starting' | 'connected' | 'suspended' | 'reconnecting' | 'stopping'

/** What a `reconnecting` event says. */
export interface Reconnecting {
  /** The number of the attempt since the client was connected, from 1. */
  readonly attempt: number
  /** How long the client waits before it, in milliseconds. */
  readonly delayMs: number
  /** What ended the connection, or the error of the attempt before. */
  readonly reason: DisconnectReason | ZerioError
}

/** Events of {@link ZerioClient} and their arguments. */
export interface ClientEventMap {
  /** The server has accepted this client. Emitted before the first message is delivered and before `start` resolves. */
  connected: []
  /** The connection is gone. Emitted exactly once for each `connected`, after the last message. */
  disconnected: [reason: DisconnectReason]
  /**
   * With the option `session`: the connection broke, and the client connects again. What is sent waits for the next connection. `resumed`
   * follows, or `disconnected` when the session cannot be resumed.
   */
  suspended: [reason: DisconnectReason]
  /** With the option `session`: the client is connected again, and nothing was lost. Emitted before the next message is delivered. */
  resumed: []
  /**
   * With the option `allowHalfOpen`: the server sends nothing any more, and still reads. Comes after its last message; `disconnected`
   * follows when this side calls `end` or `stop`.
   */
  ended: []
  /** A message, copied into a Buffer that the program may keep. Each copy is garbage; `onMessage` makes none. */
  message: [message: Buffer, channel: number]
  /**
   * On a later connection the server has refused a topic that this client had subscribed to: it has left the topic. The error is that of
   * `subscribe`.
   */
  subscribeRefused: [topic: string, error: ZerioError]
  /** The send ring that refused a message with `BackPressured` has room for it now. */
  drain: []
  /**
   * Nothing came from the server for `idleTimeoutMs`. The connection ends (`ZERIO_IDLE_TIMEOUT`) as soon as the handlers have returned,
   * unless one of them has called `setIdleTimeout`, or `configure` with `idleTimeoutMs`.
   */
  idle: []
  /**
   * With the option `reconnect`: another attempt to connect follows, after `delayMs`. Emitted before each, after `disconnected` or the
   * failure of the attempt before.
   */
  reconnecting: [next: Reconnecting]
  /**
   * With the option `reconnect`: the client tries no more, because there were `attemptsMax` attempts, or because the next one would
   * meet the same refusal. The error is that of the last attempt, or has the code that ended the connection. `start` can be called
   * again. Not emitted after `stop`, nor when the signal of `start` is aborted.
   */
  reconnectFailed: [error: ZerioError]
}
