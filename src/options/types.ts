// What programs pass as options. Written by scripts/options_page.mjs from the tables beside this file; change those.
import type { LocalAddress } from './address.js'
import type { Authenticate } from './authenticate.js'

/** Which system interface does the I/O. */
export type Backend = 'auto' | 'epoll' | 'io_uring' | 'kqueue' | 'rio' | 'winsock'

/** How a thread waits for the network. See docs/tuning.md. */
export type WaitStrategy = 'blocking' | 'spin' | 'hybrid' | 'adaptive' | 'manual'

/** What a topic does with members that read too slowly. See docs/topics.md. */
export type SlowConsumers = 'skip' | 'close' | 'latest'

/** Options that choose the engine: servers and clients of a thread with equal ones share one engine and its memory. */
export interface EngineOptions {
  /**
   * The system interface that does the I/O; `auto` takes the best one that this system has.
   *
   * Default `'auto'`.
   */
  backend?: Backend | undefined
  /**
   * How the thread waits for the network. With `manual` nothing runs unless the program calls `poll()`, but for `start` and
   * `stop`.
   *
   * Default `'blocking'`.
   */
  waitStrategy?: WaitStrategy | undefined
  /**
   * How long `hybrid` spins after the last event before it sleeps; with `adaptive`, how much spinning one avoided wake-up is
   * worth.
   *
   * In microseconds: 1 to 1,000,000; default 50.
   */
  spinUs?: number | undefined
  /**
   * The longest message that is accepted and sent.
   *
   * In bytes: 1 to 16,777,215; default 65,536.
   */
  maxMessageLength?: number | undefined
  /**
   * The send ring of each connection. Its memory is committed page by page as it is used.
   *
   * In bytes: a multiple of 8, `2 * (maxMessageLength + 4)` to 536,870,912; default 262,144, or what two of the longest messages
   * need.
   */
  sendRingBytes?: number | undefined
  /**
   * The memory that one batch of receives may fill.
   *
   * In bytes: a multiple of 4,096, 16,384 to 67,108,864; default 1,048,576.
   */
  receiveArenaBytes?: number | undefined
  /**
   * Make the network a bad one, for tests: delay what is received, stall and reset connections.
   *
   * Default the network as it is.
   */
  conditions?: ConditionsOptions | undefined
}

/** Options of the sockets. */
export interface SocketOptions {
  /**
   * Finds the numeric addresses of a host name, as the option of `net.connect` does: `(hostname, options, callback)`, and
   * `options.all` is true. It is called again for each attempt to connect.
   *
   * Default `dns.promises.lookup`.
   */
  lookup?: import('node:net').LookupFunction | undefined
  /**
   * Send small messages at once (`TCP_NODELAY`).
   *
   * Default `true`.
   */
  noDelay?: boolean | undefined
  /**
   * The system's send buffer (`SO_SNDBUF`).
   *
   * In bytes: 0 (the system decides) to 1,073,741,823; default 0.
   */
  socketSendBytes?: number | undefined
  /**
   * The system's receive buffer (`SO_RCVBUF`).
   *
   * In bytes: 0 (the system decides) to 1,073,741,823; default 0.
   */
  socketReceiveBytes?: number | undefined
  /**
   * How long a closing connection may take to send what was accepted.
   *
   * In milliseconds: 0 to 600,000; default 1,000.
   */
  lingerMs?: number | undefined
  /**
   * Ask a silent peer for a sign of life after this time, and end the connection after four times of it. Works with native peers
   * only.
   *
   * In milliseconds: 0 (never) or 10 to 3,600,000; default 0.
   */
  heartbeatMs?: number | undefined
  /**
   * End a connection, native or classic, from which nothing came for this long. A PONG counts as something. The end comes at most
   * a third of this time late.
   *
   * In milliseconds: 0 (never) or 10 to 86,400,000; default 0.
   */
  idleTimeoutMs?: number | undefined
  /**
   * Whether a connection whose other side has ended (`end`, or FIN) goes on in the other direction, until this side ends or
   * closes it. Otherwise the other side's end ends the connection. Not in a session.
   *
   * Default `false`.
   */
  allowHalfOpen?: boolean | undefined
  /**
   * Have the system ask the other side's system for a sign of life after so much silence, in whole seconds rounded up, and end
   * the connection (`ETIMEDOUT`) after three times of it. A living system answers whatever its program does.
   *
   * In milliseconds: 0 (never) or 1,000 to 7,200,000; default 15,000.
   */
  keepAliveMs?: number | undefined
  /**
   * End the connection (`ETIMEDOUT`) when the other side's system has confirmed nothing of what was sent, or had no room for
   * more, for this long.
   *
   * In milliseconds: 0 (the system's own limit, about 15 minutes) or 1,000 to 86,400,000; default 45,000.
   */
  userTimeoutMs?: number | undefined
}

/** Options of `ZerioServer`. */
export interface ServerOptions extends EngineOptions, SocketOptions {
  /**
   * How many peers may be connected at the same time.
   *
   * In connections: 1 to 60,000; default 10,000.
   */
  maxPeers?: number | undefined
  /**
   * How many connections there may be at the same time that are no peers: those that have not said who they are, and those that
   * were refused or have ended and are not closed yet. Beyond that the server closes one of them to make place for a newcomer.
   *
   * In connections: 1 to 60,000; default 1,024.
   */
  maxHandshakes?: number | undefined
  /**
   * How long a connection may take to say who it is.
   *
   * In milliseconds: 1 to 600,000; default 5,000.
   */
  handshakeTimeoutMs?: number | undefined
  /**
   * Take peers that speak the classic protocol. Otherwise they are refused with `ZERIO_UNSUPPORTED_VERSION`.
   *
   * Default `true`.
   */
  allowClassic?: boolean | undefined
  /**
   * Whether a second connection with the same peer id is refused, or takes the place of the first. When it is refused, a native
   * first one is asked for a sign of life, and ends (`ZERIO_HEARTBEAT_TIMEOUT`) unless something comes from it within `2 *
   * handshakeTimeoutMs`: so a hung process does not keep its id.
   *
   * Default `'refuse'`.
   */
  duplicateIds?: 'refuse' | 'replace' | undefined
  /**
   * Decides whether a peer may connect. It is called once for each handshake, before `clientConnected`, and returns true or
   * false, or a promise of one; the peer waits for that within `handshakeTimeoutMs`, and counts as one of `maxHandshakes`.
   * Anything else, an exception or a rejection for instance, refuses the peer, and the server emits an `error` event with
   * `ZERIO_AUTHENTICATE_FAILED`. `credential` is a copy of the client's, empty for classic peers; `info` has the peer's
   * `remoteAddress` and `protocol`, and the `localAddress` that it has reached.
   *
   * Default every peer may connect.
   */
  authenticate?: Authenticate | undefined
  /**
   * Whether clients may have sessions.
   *
   * Default `false`.
   */
  sessions?: boolean | SessionsOptions | undefined
  /**
   * Length of the listen queue; the system may allow less.
   *
   * In connections: 1 to 65,535; default 1,024.
   */
  backlog?: number | undefined
  /**
   * Do not accept IPv4 on an IPv6 address.
   *
   * Default `false`.
   */
  ipv6Only?: boolean | undefined
  /**
   * Let several servers, of worker threads or processes for instance, share one port (`SO_REUSEPORT`).
   *
   * Default `false`.
   */
  reusePort?: boolean | undefined
}

/** Options of `ZerioClient`. */
export interface ClientOptions extends EngineOptions, SocketOptions {
  /**
   * What to speak: `classic` for servers of the C# Zerio.
   *
   * Default `'native'`.
   */
  protocol?: 'native' | 'classic' | undefined
  /**
   * Handed to the server's `authenticate`. A string is sent as UTF-8. Not for `classic`.
   *
   * Default empty.
   */
  credential?: Uint8Array | string | undefined
  /**
   * How long connecting may take: the look-up of a host name, all its addresses, and the handshake together.
   *
   * In milliseconds: 1 to 600,000; default 5,000.
   */
  connectTimeoutMs?: number | undefined
  /**
   * The address of this machine that connections come from. Of a host with several addresses only those of the same family are
   * tried. Not for a `path`.
   *
   * Default the system chooses.
   */
  localAddress?: LocalAddress | undefined
  /**
   * Whether the client connects again, by itself, when its connection breaks.
   *
   * Default `false`.
   */
  reconnect?: boolean | ReconnectOptions | undefined
  /**
   * Whether messages that were accepted survive a broken connection. The client connects again as `reconnect` says, or as
   * `reconnect: true` would.
   *
   * Default `false`.
   */
  session?: boolean | SessionOptions | undefined
}

/** Options of `conditions`: a bad network on purpose. */
export interface ConditionsOptions {
  /**
   * How long received bytes wait before the program gets them.
   *
   * In milliseconds: 0 to 60,000; default 0.
   */
  lagMs?: number | undefined
  /**
   * How much longer they may wait, by chance. Their order stays.
   *
   * In milliseconds: 0 to 60,000; default 0.
   */
  jitterMs?: number | undefined
  /**
   * How long it takes on the average from the end of one stall of a connection to the next one: by chance half of it to three
   * halves.
   *
   * In milliseconds: 0 (never) or 10 to 3,600,000; default 0.
   */
  stallEveryMs?: number | undefined
  /**
   * How long a stall lasts: nothing is delivered meanwhile, and all of it behind it.
   *
   * In milliseconds: 0 to 60,000; default 1,000.
   */
  stallMs?: number | undefined
  /**
   * How many of a hundred connections are reset (`ECONNRESET`), by chance.
   *
   * In percent: 0 to 100; default 0.
   */
  resetPercent?: number | undefined
  /**
   * How old such a connection becomes at most, by chance.
   *
   * In milliseconds: 1 to 3,600,000; default 1,000.
   */
  resetWithinMs?: number | undefined
  /**
   * What chance begins with: the same seed makes the same decisions for the first connection, the second, and so on.
   *
   * Default 0.
   */
  seed?: number | undefined
}

/** Options of a client's `reconnect`. */
export interface ReconnectOptions {
  /**
   * The longest delay before the first attempt.
   *
   * In milliseconds: 1 to 3,600,000; default 100.
   */
  delayMs?: number | undefined
  /**
   * The longest delay of all; at least `delayMs`.
   *
   * In milliseconds: 1 to 3,600,000; default 10,000.
   */
  delayMsMax?: number | undefined
  /**
   * How many times longer each delay can be than the one before.
   *
   * Default 2.
   */
  factor?: number | undefined
  /**
   * Which part of a delay is left to chance. With 1 a delay is anything from 0 to the longest one, so that the clients of a
   * server that restarts do not come back in one wave; with 0 it is always the longest one.
   *
   * Default 1.
   */
  jitter?: number | undefined
  /**
   * How many attempts in a row may fail. After the last one the client emits `reconnectFailed`.
   *
   * Default `Infinity`.
   */
  attemptsMax?: number | undefined
  /**
   * Whether `start`, too, tries again until it is connected. Otherwise it rejects when the first attempt fails.
   *
   * Default `false`.
   */
  first?: boolean | undefined
}

/** Options of a client's `session`. */
export interface SessionOptions {
  /**
   * How long the client tries to resume the session after its connection broke. The server's `resumeMsMax` may be less.
   *
   * In milliseconds: 1 to 86,400,000; default 30,000.
   */
  resumeMs?: number | undefined
}

/** Options of a server's `sessions`. */
export interface SessionsOptions {
  /**
   * How long the server keeps a session whose connection broke.
   *
   * In milliseconds: 1 to 86,400,000; default 60,000.
   */
  resumeMsMax?: number | undefined
  /**
   * How many sessions there may be at the same time, with and without a connection. A peer that asks for one more is refused with
   * `ZERIO_SERVER_FULL`.
   *
   * In connections: 1 to 60,000; default 10,000.
   */
  sessionsMax?: number | undefined
}

/** Options of `server.topic`. */
export interface TopicOptions {
  /**
   * What becomes of a member that reads too slowly. With `skip` it misses the messages for which its ring has no room. With
   * `close` its connection ends with `ZERIO_SLOW_CONSUMER`. With `latest` the topic has keys with values, and such a member gets
   * the newest value of each changed key, once, when there is room.
   *
   * Default `'skip'`.
   */
  slow?: SlowConsumers | undefined
  /**
   * With `latest`: how many keys there are, from 0 on. Each member takes a bit for each of them.
   *
   * In keys: 1 to 1,048,576; default 1,024.
   */
  keysMax?: number | undefined
  /**
   * With `latest`: the longest value. The topic has so much memory for each key, which the system commits as it is used.
   *
   * In bytes: 1 to `maxMessageLength - 4`; `keysMax * (valueBytesMax + 4)` at most 1,073,741,824; default 64.
   */
  valueBytesMax?: number | undefined
  /**
   * With `close`: how many bytes, as `peer.pendingBytes` counts them, may wait for a member when a message is published.
   *
   * In bytes: 0 (what the ring holds) to 536,870,912; default 0.
   */
  pendingBytesMax?: number | undefined
  /**
   * With `close`: how long the oldest byte may wait for a member, whoever has sent it. It waits until the system takes it, in a
   * session until the member acknowledges it. A timer looks four times within this time, so that the end comes at most a quarter
   * of it late; a busy thread looks later.
   *
   * In milliseconds: 0 (no limit) or 20 to 3,600,000; default 0.
   */
  behindMs?: number | undefined
}

/** What `configure` takes: the options that can change while there is a connection. */
export type LiveOptions = Pick<
  SocketOptions,
  'noDelay' | 'lingerMs' | 'heartbeatMs' | 'idleTimeoutMs' | 'keepAliveMs' | 'userTimeoutMs'
>
