// ZerioError, its codes, and the sentence of each.
import { getSystemErrorName } from 'node:util'
import { Layout } from './layout.js'

/** Codes of mistakes in the program. Each is thrown, or rejects the promise, at the call that makes the mistake. */
export type MisuseCode =
  | 'ZERIO_BAD_OPTION'
  | 'ZERIO_BAD_ARGUMENT'
  | 'ZERIO_BAD_PEER_ID'
  | 'ZERIO_ALREADY_STARTED'
  | 'ZERIO_STOPPING'
  | 'ZERIO_CLAIM_OPEN'
  | 'ZERIO_NO_CLAIM'
  | 'ZERIO_POLL_IN_HANDLER'
  | 'ZERIO_NOT_STARTED'

/** Codes of things that happen to a correct program. */
export type FateCode =
  | 'ZERIO_BACKEND_UNAVAILABLE'
  | 'ZERIO_OUT_OF_MEMORY'
  | 'ZERIO_STOPPED'
  | 'ZERIO_CONNECT_TIMEOUT'
  | 'ZERIO_HANDSHAKE_FAILED'
  | 'ZERIO_TOO_MANY_SERVERS'
  | 'ZERIO_AUTHENTICATE_FAILED'
  | 'ZERIO_NO_BINARY'

/** Where a system error happened, as in Node's own errors. */
export interface ErrorDetails {
  syscall?: string | undefined
  address?: string | undefined
  port?: number | undefined
  cause?: unknown
}

/**
 * Every error that zerio throws, rejects with or emits.
 *
 * `code` is stable: a `ZERIO_…` code for what zerio itself finds (docs/behaviour.md lists them all), the system's own name
 * (`EADDRINUSE`, `ECONNREFUSED`, `EMFILE`, `ENOTFOUND`, …) for what the machine reports, and the name of a close code for a
 * server's refusal (`ZERIO_DUPLICATE_PEER_ID`, …). The message says what to do.
 */
export class ZerioError extends Error {
  readonly code: string
  readonly syscall?: string
  readonly address?: string
  readonly port?: number

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'ZerioError'
    this.code = code
    if (details.syscall !== undefined) this.syscall = details.syscall
    if (details.address !== undefined) this.address = details.address
    if (details.port !== undefined) this.port = details.port
  }
}

export function misuse(code: MisuseCode, message: string): ZerioError {
  return new ZerioError(code, message)
}

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another socket has this address; choose another port, or 0 for any free one',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'this port needs privileges; choose one above 1023',
  ECONNREFUSED: 'nobody listens there; start the server first and check host and port',
  EHOSTUNREACH: 'no route leads to this host',
  ENETUNREACH: 'no route leads to this network',
  ETIMEDOUT: 'the host does not answer',
  EMFILE: 'the process is out of file descriptors; raise its limit (ulimit -n) or close some',
  ENFILE: 'the system is out of file descriptors; close some',
  ENOBUFS: 'the system is out of socket memory; close some connections',
  ENOMEM: 'the system is out of memory',
  ZERIO_OUT_OF_MEMORY: 'the process is out of memory'
}

/** An error from the system. `errno` is the positive number; `what` is the attempt, as in "cannot listen on …". */
export function systemError(errno: number, what: string, details: ErrorDetails): ZerioError {
  const code = systemErrorName(errno)
  return new ZerioError(code, `${what}: ${code}${advice[code] ? `, ${advice[code]}` : ''}.`, details)
}

export function systemErrorName(errno: number): string {
  if (errno === Layout.ErrorOutOfMemory) return 'ZERIO_OUT_OF_MEMORY'
  try {
    const name = getSystemErrorName(-errno)
    // Numbers that libuv has no name for are not in its table.
    return /^E[A-Z0-9]+$/.test(name) ? name : `ERRNO_${errno}`
  } catch {
    return `ERRNO_${errno}`
  }
}
