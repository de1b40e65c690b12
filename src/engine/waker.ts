// Wakers: another thread makes the thread of an engine run a function.
import { misuse, ZerioError } from '../errors.js'
import { describe } from '../options/given.js'
import { native } from './native.js'

/** What another thread gets when a {@link Waker} is posted to it: `Waker.from` makes it one again. */
export interface PostedWaker {
  /** Which waker of the process it is. */
  readonly number: number
}

/** Wakes the thread of one engine, from any thread of the process. It can be posted: to a worker, or in its `workerData`. */
export class Waker implements PostedWaker {
  /** Which waker of the process it is. */
  readonly number: number

  /** @internal */
  constructor(number: number) {
    this.number = number
  }

  /**
   * The waker that another thread has posted, which arrives as a plain object. Throws `ZERIO_BAD_ARGUMENT` for anything else. Allocates:
   * call it once.
   */
  static from(posted: PostedWaker): Waker {
    const number: unknown = (posted as PostedWaker | undefined)?.number
    if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0)
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `Waker.from takes what another thread has posted from engine.waker, not ${describe(posted)}.`
      )
    return new Waker(number)
  }

  /**
   * The engine's thread runs `onWake` soon, also when it sleeps: once for all calls before it begins. `onWake` sees everything that this
   * thread wrote to shared memory before. Returns false when the engine has ended, or is in another process. Allocates nothing.
   */
  wake(): boolean {
    return native.wake(this.number)
  }
}

/** The waker of an engine, on the engine's own thread. */
export class EngineWaker extends Waker {
  #onWake: (() => void) | null = null

  /** @internal `closed`: the engine has ended, and nothing wakes it. */
  constructor(closed: boolean) {
    // A private method cannot be reached before super().
    const run: { now: () => void } = { now: () => {} }
    super(closed ? 0 : native.createWaker(() => run.now()))
    if (!closed && this.number === 0)
      throw new ZerioError('ZERIO_OUT_OF_MEMORY', 'The runtime has no memory for a waker; free some.')
    run.now = () => this.#onWake?.()
  }

  /**
   * Runs in a turn of its own on the engine's thread after another thread, or this one, has called `wake`. With `waitStrategy` `'manual'`
   * it runs when the program returns to the event loop, not in `poll`. What it throws is an uncaught exception. Null until it is set, and
   * after the engine's end. Throws `ZERIO_BAD_ARGUMENT` for what is no function.
   */
  get onWake(): (() => void) | null {
    return this.#onWake
  }

  /** See the getter. */
  set onWake(handler: (() => void) | null) {
    if (handler !== null && typeof handler !== 'function')
      throw misuse('ZERIO_BAD_ARGUMENT', `onWake is a function or null, not ${describe(handler)}.`)
    this.#onWake = handler
  }

  /** @internal The engine has ended. */
  close(): void {
    this.#onWake = null
    native.closeWaker(this.number)
  }
}
