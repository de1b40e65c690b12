// When a client connects again: which ends it gets over, how long it waits, and how often it tries.
import type { ResolvedReconnectOptions } from '../options/options.js'

/**
 * What the same attempt would meet again, by code: the server's verdict on who this client is, and a newer connection with the same id,
 * with which it would fight for the id.
 */
const lasting: ReadonlySet<string> = new Set([
  'ZERIO_UNAUTHORIZED',
  'ZERIO_INVALID_PEER_ID',
  'ZERIO_UNSUPPORTED_VERSION',
  'ZERIO_MALFORMED_HELLO',
  'ZERIO_REPLACED',
  'ZERIO_BACKEND_UNAVAILABLE',
  'ZERIO_BAD_LOOKUP',
  'ZERIO_NO_SESSIONS',
  'ZERIO_SESSION_LOST'
])

/** Whether trying again is of no use after a failure with this code. A duplicate id is: the old connection may be dying. */
export function isLasting(code: string | undefined): boolean {
  // An error without a code is a mistake in a program.
  return code === undefined || lasting.has(code)
}

/** How long to wait before each attempt. One for the whole life of a client. */
export class BackOff {
  readonly #options: ResolvedReconnectOptions
  /** The longest that the next delay can be. */
  #ceilingMs: number
  #attempt = 0
  #connectedAt = 0

  constructor(options: ResolvedReconnectOptions) {
    this.#options = options
    this.#ceilingMs = options.delayMs
  }

  /**
   * The next attempt: its number since the last connection, from 1, and how long to wait before it, in milliseconds. Undefined when
   * there were `attemptsMax`.
   */
  next(): { readonly attempt: number; readonly delayMs: number } | undefined {
    const { attemptsMax, jitter, factor, delayMsMax } = this.#options
    if (this.#attempt >= attemptsMax) return undefined
    const ceilingMs = this.#ceilingMs
    this.#ceilingMs = Math.min(delayMsMax, ceilingMs * factor)
    const delayMs = Math.round(ceilingMs * (1 - jitter * Math.random()))
    return { attempt: ++this.#attempt, delayMs }
  }

  connected(): void {
    this.#attempt = 0
    this.#connectedAt = performance.now()
  }

  /** The end of a session has interrupted the attempt under way: it counts neither as failed nor as made. */
  interrupted(): void {
    this.#attempt = Math.max(0, this.#attempt - 1)
  }

  /**
   * A connection has ended. Delays begin anew, unless it ended sooner than the next delay: a server that takes clients and drops them is
   * not hurried. They also go on when a session has ended after failed attempts.
   */
  broken(): void {
    if (this.#attempt === 0 && performance.now() - this.#connectedAt >= this.#ceilingMs) this.reset()
  }

  /** A program begins anew. */
  reset(): void {
    this.#attempt = 0
    this.#ceilingMs = this.#options.delayMs
  }
}
