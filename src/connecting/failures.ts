// The errors of a client that does not get connected: each says what to do.
import { Code } from '../engine/layout.js'
import { systemError, ZerioError } from '../errors.js'
import type { DisconnectReason } from '../reason.js'

/** What `start` of a client rejects with when `stop` is called meanwhile. */
export function stopped(): ZerioError {
  return new ZerioError('ZERIO_STOPPED', 'The client was stopped while it connected.')
}

/** Makes the errors of one client, which name where it connects to. */
export class Failures {
  readonly #host: string
  readonly #port: number
  readonly #timeoutMs: number

  /** @param timeoutMs the option `connectTimeoutMs`. */
  constructor(host: string, port: number, timeoutMs: number) {
    this.#host = host
    this.#port = port
    this.#timeoutMs = timeoutMs
  }

  /** The system refused; `errno` is its positive number. */
  system(errno: number, host: string): ZerioError {
    return systemError(errno, `Cannot connect to ${host} port ${this.#port}`, {
      syscall: 'connect',
      address: host,
      port: this.#port
    })
  }

  /** An address did not answer in time. */
  timeout(host: string, what: string): ZerioError {
    return new ZerioError(
      'ZERIO_CONNECT_TIMEOUT',
      `Cannot connect to ${host} port ${this.#port}: ${what}; check that a zerio server is there, or raise connectTimeoutMs (${this.#timeoutMs}).`,
      { syscall: 'connect', address: host, port: this.#port }
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
    const details = { address: host, port: this.#port }
    if (reason.closeCode === Code.PeerLeft || reason.closeCode === Code.ConnectionFailed) {
      const text = `${host} port ${this.#port} closed the connection during the handshake; check the protocol option and the server's limits.`
      return new ZerioError('ZERIO_HANDSHAKE_FAILED', text, details)
    }
    return new ZerioError(
      reason.code,
      `${host} port ${this.#port} refused the connection: ${reason.message}.`,
      details
    )
  }
  /** The connection ended for a reason for which the client does not connect again. */
  ended({ code, message }: DisconnectReason): ZerioError {
    const text = `The connection to ${this.#host} port ${this.#port} ended, and the client does not connect again: ${message}.`
    return new ZerioError(code, text, { address: this.#host, port: this.#port })
  }
}
