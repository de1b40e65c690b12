// A start under way, in one attempt or several: the time limit of an attempt, and how stop() or a signal ends it in whatever phase it is.
import { ZerioError } from '../errors.js'
import { isNumericHost } from '../options/address.js'
import { type LookupFunction, lookupAll } from './resolve.js'

export class Starting {
  readonly #timeoutMs: number
  readonly #keepsAlive: boolean
  #deadline: number
  /** Ends the present phase. */
  #reject: (error: ZerioError) => void = () => {}
  #error: ZerioError | undefined

  /**
   * @param timeoutMs how long all phases of an attempt may take together.
   * @param keepsAlive whether its timers keep the process alive.
   */
  constructor(timeoutMs = Number.POSITIVE_INFINITY, keepsAlive = true) {
    this.#timeoutMs = timeoutMs
    this.#keepsAlive = keepsAlive
    this.#deadline = performance.now() + timeoutMs
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

  /**
   * What `phase` resolves to, unless the start is abandoned before. One phase at a time. (A race with a promise that lives as long as the
   * start would keep something of each phase until the end.)
   */
  wait<T>(phase: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      phase.then(resolve, reject)
      if (this.#error === undefined) this.#reject = reject
      else reject(this.#error)
    })
  }

  #timer(run: () => void, delayMs: number): NodeJS.Timeout {
    const timer = setTimeout(run, delayMs)
    return this.#keepsAlive ? timer : timer.unref()
  }

  /** Waits, and then the next attempt begins with its whole time. */
  async pauseMs(delayMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const over = new Promise<void>((resolve) => {
      timer = this.#timer(resolve, delayMs)
    })
    try {
      await this.wait(over)
    } finally {
      clearTimeout(timer)
    }
    this.check()
    this.#deadline = performance.now() + this.#timeoutMs
  }

  /**
   * The numeric addresses of a host, by the program's own `lookup` where it has one. A look-up cannot be stopped, so its answer is
   * ignored when the start is abandoned meanwhile. `late` makes the error for a look-up that outlasts the time limit.
   */
  async lookup(
    host: string,
    lookup: LookupFunction | undefined,
    late?: () => ZerioError
  ): Promise<readonly string[]> {
    if (isNumericHost(host)) return [host]
    let timer: NodeJS.Timeout | undefined
    const phases = [lookupAll(host, lookup)]
    if (late !== undefined) {
      const timeIsOver = new Promise<never>((_resolve, reject) => {
        timer = this.#timer(() => reject(late()), this.remainingMs)
      })
      phases.push(timeIsOver)
    }
    try {
      return await this.wait(Promise.race(phases))
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Options of the `start` of servers and clients. */
export interface StartOptions {
  /**
   * Ends the start: it rejects with `ABORT_ERR`, an error with the name `AbortError` and the signal's reason as its cause. With the
   * option `reconnect` it also ends every later attempt to connect again, so a signal of `AbortSignal.timeout` allows such attempts
   * for that time only. It does not end a connection or a server that listens: `stop` does.
   */
  signal?: AbortSignal | undefined
}

function aborted(signal: AbortSignal): ZerioError {
  const text = 'The start was aborted by its signal; see the cause.'
  const error = new ZerioError('ABORT_ERR', text, { cause: signal.reason })
  error.name = 'AbortError'
  return error
}

/**
 * Runs a part of a start. Calls `abort` with the error to reject with when the signal is aborted meanwhile, and throws that error when
 * the signal was aborted before.
 */
export async function withSignal(
  signal: AbortSignal | undefined,
  abort: (error: ZerioError) => void,
  run: () => Promise<void>
): Promise<void> {
  if (signal === undefined) return run()
  if (signal.aborted) throw aborted(signal)
  const onAbort = (): void => abort(aborted(signal))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await run()
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
