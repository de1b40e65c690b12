// The receiving part of ZerioClient: what concerns its present connection.
import { SendingClient } from './client_sending.js'
import type { ClientConnection } from './connecting/client_connection.js'
import { notConnected, PING_TIMEOUT_MS } from './connecting/question.js'

/** When a message was received, where there is none. */
const NO_TIME = new Float64Array([Number.NaN])

/** The receiving part of `ZerioClient`, which programs use. */
export abstract class ReceivingClient extends SendingClient {
  /** @internal */
  protected _connection: ClientConnection | undefined
  /** @internal The connection whose session is to be resumed. */
  protected _resumable: ClientConnection | undefined

  /** As {@link Peer.messageNumber}, of what the server has sent over the present connection. */
  get messageNumber(): number {
    const connection = this._line
    return connection === undefined
      ? 0
      : connection.engine.dispatch.messageNumber(connection, connection.ring.counters.messagesReceived)
  }

  /** As {@link Peer.receivedAt}. */
  get receivedAt(): number {
    return this._readTime()[0]
  }

  /** @internal As `_readTime` of a peer; without a connection the time is NaN. */
  _readTime(): Float64Array {
    const connection = this._line
    return connection === undefined ? NO_TIME : connection.engine.dispatch.readTime(connection)
  }

  /** As {@link Peer.ping}, over the present connection; rejects with `ZERIO_NOT_CONNECTED` when there is none. */
  async ping(timeoutMs: number = PING_TIMEOUT_MS): Promise<number> {
    if (this._connection === undefined) throw notConnected('there is none')
    return this._connection.question.ask(timeoutMs)
  }

  /**
   * Ends this side's direction of the connection: everything accepted so far is sent, then the end of the stream; `send` returns `Closed`
   * from now on. Messages of the server are delivered until it ends, too, or closes; then `disconnected` follows, and the client does not
   * connect again by itself. A server without `allowHalfOpen` does so at once. Does nothing without a connection. Throws
   * `ZERIO_HALF_CLOSE_IN_SESSION`.
   */
  end(): void {
    this._line?.end()
  }

  /**
   * As {@link Peer.pause}, of the present connection, or of the suspended session; what was read of a connection that ends is delivered
   * just before `disconnected`. Does nothing without a connection. In a session the pause lasts over a break. Otherwise each
   * connection begins unpaused, also one that the option `reconnect` makes.
   */
  pause(): void {
    this._line?.pause()
  }

  /** As {@link Peer.resume}. */
  resume(): void {
    this._line?.resume()
  }

  /** As {@link Peer.isPaused}; false without a connection. */
  get isPaused(): boolean {
    return this._line?.isPaused === true
  }

  /** @internal The present connection, or that of the suspended session. */
  protected get _line(): ClientConnection | undefined {
    return this._connection ?? this._resumable
  }
}
