// Why a connection ended: the close codes of docs/protocol.md with their names and sentences.
import { Code, Limit } from './engine/layout.js'
import { misuse, printableText, systemErrorName } from './errors.js'
import { describe } from './options/given.js'

interface Meaning {
  readonly code: string
  readonly message: string
}

const known = {
  1000: { code: 'ZERIO_NORMAL', message: 'the connection was closed' },
  1001: { code: 'ZERIO_GOING_AWAY', message: 'the server is stopping' },
  1002: { code: 'ZERIO_PROTOCOL_ERROR', message: 'a frame broke the protocol' },
  1003: {
    code: 'ZERIO_MESSAGE_TOO_LONG',
    message: 'a frame announced more bytes than maxMessageLength allows'
  },
  1010: { code: 'ZERIO_HANDSHAKE_TIMEOUT', message: 'the handshake was not completed in time' },
  1011: { code: 'ZERIO_MALFORMED_HELLO', message: 'the first frame was no valid handshake' },
  1012: { code: 'ZERIO_UNSUPPORTED_VERSION', message: 'the protocol version is not supported' },
  1013: { code: 'ZERIO_INVALID_PEER_ID', message: 'the peer id is empty, too long or not valid text' },
  1014: { code: 'ZERIO_DUPLICATE_PEER_ID', message: 'another connected peer has this id' },
  1015: { code: 'ZERIO_REPLACED', message: 'a newer connection with the same id took its place' },
  1016: { code: 'ZERIO_SERVER_FULL', message: 'the server has maxPeers peers, or sessionsMax sessions' },
  1017: {
    code: 'ZERIO_TOO_MANY_HANDSHAKES',
    message: 'the server has maxHandshakes connections that did not say who they are'
  },
  1018: { code: 'ZERIO_UNAUTHORIZED', message: 'the server did not accept the credential' },
  1019: { code: 'ZERIO_HEARTBEAT_TIMEOUT', message: 'the other side was silent for too long' },
  1020: { code: 'ZERIO_SESSION_LOST', message: 'the session cannot be resumed any more' },
  1021: { code: 'ZERIO_SLOW_CONSUMER', message: 'the peer read the messages of a topic too slowly' },
  1022: {
    code: 'ZERIO_SUBSCRIBE_REFUSED',
    message: 'the server did not let this client into the topic'
  },
  1023: { code: 'ZERIO_IDLE_TIMEOUT', message: 'nothing came for as long as idleTimeoutMs allows' },
  2000: { code: 'ZERIO_PEER_LEFT', message: 'the other side ended the connection without giving a reason' },
  2001: { code: 'ZERIO_CONNECTION_LOST', message: 'the connection broke' },
  2002: { code: 'ZERIO_CONNECT_FAILED', message: 'no connection could be made' },
  2003: {
    code: 'ZERIO_CONNECT_TIMEOUT',
    message: 'the server did not complete the handshake within connectTimeoutMs'
  },
  2004: {
    code: 'ZERIO_HANDSHAKE_FAILED',
    message: 'the answer to the handshake was not that of a zerio server'
  },
  2005: {
    code: 'ZERIO_MEMORY_CORRUPTED',
    message: 'the program overwrote the send ring of this connection outside of a claim'
  },
  2006: { code: 'ZERIO_ABORTED', message: 'the connection was aborted' },
  2007: { code: 'ZERIO_OUT_OF_MEMORY', message: 'the process had no memory for one more connection' }
} satisfies Readonly<Record<Code, Meaning>>

const meanings: Readonly<Record<number, Meaning | undefined>> = known

/** The close codes that travel in CLOSE and REJECT frames and mean something to zerio. A program chooses its own from 4000 to 4999. */
export const CloseCode = Object.freeze({
  /** The program closed the connection. */
  Normal: 1000,
  /** The server stops. */
  GoingAway: 1001,
  /** A frame was malformed, unknown, or not allowed there. */
  ProtocolError: 1002,
  /** A message was longer than the receiver accepts. */
  MessageTooLong: 1003,
  /** The first frame was not complete within `handshakeTimeoutMs`. */
  HandshakeTimeout: 1010,
  /** The first frame was no well-formed HELLO. */
  MalformedHello: 1011,
  /** The version of the protocol is not supported, or the classic protocol is not allowed. */
  UnsupportedVersion: 1012,
  /** The id is empty, too long, not valid text, or has control characters. */
  InvalidPeerId: 1013,
  /** A connected peer has this id. */
  DuplicatePeerId: 1014,
  /** A newer connection with this id took the place of this one. */
  Replaced: 1015,
  /** The server has `maxPeers` peers. */
  ServerFull: 1016,
  /** The server has `maxHandshakes` connections that are no peers. */
  TooManyHandshakes: 1017,
  /** `authenticate` refused the peer. */
  Unauthorized: 1018,
  /** The other side was silent for four heartbeats, or after a question. */
  HeartbeatTimeout: 1019,
  /** The session cannot be resumed: the other side does not know it any more, or the time for it is over. */
  SessionLost: 1020,
  /** The peer read the messages of a topic with `slow: 'close'` too slowly. */
  SlowConsumer: 1021,
  /** The server's `onSubscribe` did not let a client into a topic. In the answer to `subscribe`, which ends no connection. */
  SubscribeRefused: 1022,
  /** Nothing came from the other side for `idleTimeoutMs`. */
  IdleTimeout: 1023,
  /** The first of the codes that are the program's own. */
  ApplicationMin: 4000,
  /** The last of the codes that are the program's own. */
  ApplicationMax: 4999
}) satisfies { readonly [Name in keyof typeof Code]?: (typeof Code)[Name] }

/** Throws unless a program may close a connection with these. */
export function checkClose(code: unknown, reason: unknown): void {
  const allowed =
    Number.isInteger(code) &&
    (code === CloseCode.Normal ||
      ((code as number) >= CloseCode.ApplicationMin && (code as number) <= CloseCode.ApplicationMax))
  if (!allowed)
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A close code must be 1000 or an integer from 4000 to 4999, not ${describe(code)}.`
    )
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > Limit.ReasonBytes) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A reason must be a string of at most ${Limit.ReasonBytes} bytes, not ${describe(reason)}.`
    )
  }
}

/** Why a connection ended, or was refused. `String(reason)` is its message. */
export class DisconnectReason {
  /** Stable name: a `ZERIO_…` code; for a broken connection the system's, such as `ECONNRESET`; `ZERIO_APPLICATION` for 4000 to 4999. */
  readonly code: string
  /** The number in the CLOSE or REJECT frame (docs/protocol.md); from 2000 to 2999 what only this side knows. */
  readonly closeCode: number
  /** The system's error number, 0 when it is not the system that ended the connection. */
  readonly errno: number
  /** One sentence; the other side's own words where it sent some, with a space for what is not printable. */
  readonly message: string
  /** Whether the program on this side ended the connection. */
  readonly local: boolean
  /**
   * Of a session that has ended: how many messages of this side the other side has not acknowledged. It has received some of them,
   * perhaps, in order from the first. 0 without a session.
   */
  readonly unacknowledged: number

  /**
   * zerio makes them; a test of a program may, too.
   *
   * @param closeCode the number of the CLOSE or REJECT frame.
   * @param text the other side's words, or empty.
   * @param errno the system's error number, or 0.
   * @param local whether the program on this side ended the connection.
   * @param unacknowledged messages of an ended session that the other side has not acknowledged.
   */
  constructor(closeCode: number, text: string, errno: number, local: boolean, unacknowledged = 0) {
    const meaning = meanings[closeCode]
    const application = closeCode >= CloseCode.ApplicationMin && closeCode <= CloseCode.ApplicationMax
    this.closeCode = closeCode
    this.errno = errno
    this.local = local
    this.unacknowledged = unacknowledged
    this.code =
      errno > 0
        ? systemErrorName(errno)
        : (meaning?.code ?? (application ? 'ZERIO_APPLICATION' : 'ZERIO_UNKNOWN_CODE'))
    this.message =
      printableText(text) ||
      (errno > 0
        ? `${meaning?.message ?? 'the connection broke'} (${this.code})`
        : (meaning?.message ?? `close code ${closeCode}`))
  }

  /** The message. */
  toString(): string {
    return this.message
  }
}

/** @internal What this side has closed a connection with. */
export interface Closing {
  readonly code: number
  readonly text: string
}

/** @internal This side has not closed it. */
export const notClosing: Closing = { code: 0, text: '' }

/** @internal Why a connection ended: in the other side's words, or in those of this side where it was this side that closed it. */
export function reasonOfEnd(
  closeCode: number,
  text: string,
  errno: number,
  local: boolean,
  closing: Closing,
  unacknowledged: number
): DisconnectReason {
  const words = text === '' && errno === 0 && closeCode === closing.code ? closing.text : text
  // The other side, or a rule, may have ended it before the engine heard of this side's wish.
  const isOfThisSide = local && (closeCode === closing.code || closeCode === Code.Aborted)
  return new DisconnectReason(closeCode, words, errno, isOfThisSide, unacknowledged)
}
