// The errors of a client that does not get connected: each says what to do.
import { Code } from '../engine/layout.js'
import { systemError, systemErrorName, ZerioError } from '../errors.js'
import { type LocalAddress, placeDetails, placeText } from '../options/address.js'
import type { DisconnectReason } from '../reason.js'

/** What `start` of a client rejects with when `stop` is called meanwhile. */
export function stopped(): ZerioError {
  return new ZerioError('ZERIO_STOPPED', 'The client was stopped while it connected.')
}

function sourceText({ host, port }: Required<LocalAddress>): string {
  return port === 0 ? host : placeText(host, port)
}

/** Whether it is, or may be, the fault of `localAddress`. */
function isOfSource(code: string): boolean {
  return ['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'EINVAL'].includes(code)
}

const SOURCE_ADVICE =
  'the option localAddress must be an address of this machine, and its port one from which no other connection goes there and which this process may take; choose another one, or port 0 for any free one'

/** Makes the errors of one client, which name where it connects to. */
export class Failures {
  readonly #host: string
  readonly #port: number
  readonly #timeoutMs: number
  readonly #source: Required<LocalAddress> | undefined

  /**
   * @param timeoutMs the option `connectTimeoutMs`.
   * @param source the option `localAddress`.
   */
  constructor(host: string, port: number, timeoutMs: number, source: Required<LocalAddress> | undefined) {
    this.#host = host
    this.#port = port
    this.#timeoutMs = timeoutMs
    this.#source = source
  }

  /** The host has no address of the family of `localAddress`. */
  noneOfFamily(host: string): ZerioError {
    const text = `Cannot connect from ${host} to ${placeText(this.#host, this.#port)}, which has no address of the same family; give a localAddress of the other family (IPv4 or IPv6), or none.`
    return new ZerioError('EAFNOSUPPORT', text, {
      syscall: 'connect',
      ...placeDetails(this.#host, this.#port)
    })
  }

  /** The system refused; `errno` is its positive number. */
  system(errno: number, host: string): ZerioError {
    const details = { syscall: 'connect', ...placeDetails(host, this.#port) }
    const what = `Cannot connect to ${placeText(host, this.#port)}`
    if (this.#source === undefined || !isOfSource(systemErrorName(errno)))
      return systemError(errno, what, details)
    return systemError(errno, `${what} from ${sourceText(this.#source)}`, details, SOURCE_ADVICE)
  }

  /** An address did not answer in time. */
  timeout(host: string, what: string): ZerioError {
    return new ZerioError(
      'ZERIO_CONNECT_TIMEOUT',
      `Cannot connect to ${placeText(host, this.#port)}: ${what}; check that a zerio server is there, or raise connectTimeoutMs (${this.#timeoutMs}).`,
      { syscall: 'connect', ...placeDetails(host, this.#port) }
    )
  }

  /** No name server answered in time. */
  lookupTimeout(): ZerioError {
    return new ZerioError(
      'ZERIO_CONNECT_TIMEOUT',
      `Cannot connect to ${this.#host} port ${this.#port}: no name server answered within connectTimeoutMs (${this.#timeoutMs}); check the name servers, or give a numeric address.`,
      { syscall: 'getaddrinfo', address: this.#host, port: this.#port }
    )
  }

  /** An attempt ended before the server had taken the client. */
  attempt(reason: DisconnectReason, host: string): ZerioError {
    if (reason.closeCode === Code.ConnectFailed) return this.system(reason.errno, host)
    if (reason.closeCode === Code.ConnectTimeout) return this.timeout(host, reason.message)
    const details = placeDetails(host, this.#port)
    const place = placeText(host, this.#port)
    if (reason.closeCode === Code.PeerLeft || reason.closeCode === Code.ConnectionFailed) {
      const text = `${place} closed the connection during the handshake; check the protocol option and the server's limits.`
      return new ZerioError('ZERIO_HANDSHAKE_FAILED', text, details)
    }
    return new ZerioError(reason.code, `${place} refused the connection: ${reason.message}.`, details)
  }
  /** The connection ended for a reason for which the client does not connect again. */
  ended({ code, message }: DisconnectReason): ZerioError {
    const text = `The connection to ${placeText(this.#host, this.#port)} ended, and the client does not connect again: ${message}.`
    return new ZerioError(code, text, placeDetails(this.#host, this.#port))
  }
}

/** The client wants a session, and the server keeps none. */
export function noSessions(): ZerioError {
  return new ZerioError(
    'ZERIO_NO_SESSIONS',
    'The server keeps no sessions; start it with the option sessions, or the client without session.'
  )
}
