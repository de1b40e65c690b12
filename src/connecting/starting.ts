// A start() under way: its time limit, and how stop() ends it in whatever phase it is.
import type { ZerioError } from '../errors.js'
import { isNumericHost } from '../options/options.js'
import { lookupAll } from './resolve.js'

export class Starting {
  readonly #deadline: number
  readonly #abandoned: Promise<never>
  #reject: (error: ZerioError) => void = () => {}
  #error: ZerioError | undefined

  /** @param timeoutMs how long all phases may take together. */
  constructor(timeoutMs = Number.POSITIVE_INFINITY) {
    this.#deadline = performance.now() + timeoutMs
    this.#abandoned = new Promise((_resolve, reject) => {
      this.#reject = reject
    })
    // It may be abandoned while nothing waits.
    this.#abandoned.catch(() => {})
  }

  /** Whole milliseconds; 1 when none are left. */
  get remainingMs(): number {
    return Math.max(1, Math.ceil(this.#deadline - performance.now()))
  }

  /** From now on every phase rejects with this error. Only the first call counts. */
  abandon(error: ZerioError): void {
    this.#error ??= error
    this.#reject(this.#error)
  }

  /** Throws when the start was abandoned: to be called after each wait, because stop() may come between a result and its use. */
  check(): void {
    if (this.#error !== undefined) throw this.#error
  }

  /** What `phase` resolves to, unless the start is abandoned before. */
  wait<T>(phase: Promise<T>): Promise<T> {
    return Promise.race([phase, this.#abandoned])
  }

  /**
   * The numeric addresses of a host. The system cannot be stopped from looking a name up, so its answer is ignored when the start is
   * abandoned meanwhile. `late` makes the error for a look-up that outlasts the time limit.
   */
  async lookup(host: string, late?: () => ZerioError): Promise<readonly string[]> {
    if (isNumericHost(host)) return [host]
    const timer = late === undefined ? undefined : setTimeout(() => this.abandon(late()), this.remainingMs)
    try {
      return await this.wait(lookupAll(host))
    } finally {
      clearTimeout(timer)
    }
  }
}
