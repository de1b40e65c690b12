// Wakers: another thread makes the thread of an engine run a function.
import { misuse, ZerioError } from '../errors.js'
import { checkHandler, describe } from '../options/given.js'
import { type NativeEngine, native } from './native.js'

/** No waker has this number. */
const NONE = 0
/** A small integer of V8, as addon/binding/wakers.cc gives them. */
const NUMBER_MAX = 2 ** 30 - 1

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
    if (typeof number !== 'number' || !Number.isInteger(number) || number < NONE || number > NUMBER_MAX)
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `Waker.from takes what another thread has posted from engine.waker, not ${describe(posted)}.`
      )
    return new Waker(number)
  }

  /**
   * The engine's thread runs `onWake` soon, also when it sleeps in its event loop: once for all calls before it begins. `onWake` sees
   * everything that this thread wrote to shared memory before. Returns false when the engine has ended, or is one of another process or
   * of another copy of the package. Allocates nothing.
   */
  wake(): boolean {
    return native.wake(this.number)
  }
}

/** What a waker needs of its engine. */
type WakingEngine = Pick<NativeEngine, 'openWaker' | 'openWakerScope'>

/** The waker of an engine, on the engine's own thread. */
export class EngineWaker extends Waker {
  readonly #engine: WakingEngine
  #onWake: (() => void) | null = null
  /** It was woken while there was no function. */
  #missed = false

  /** @internal An engine that has ended gives no number, and nothing wakes it. */
  constructor(engine: WakingEngine) {
    // Nothing of this object may be touched before super().
    const run: { now: () => void } = { now: () => {} }
    const number = engine.openWaker(() => run.now())
    if (number === NONE)
      throw new ZerioError('ZERIO_OUT_OF_MEMORY', 'The system has no memory for a waker; free some.')
    super(number ?? NONE)
    this.#engine = engine
    run.now = () => this.#run()
  }

  /**
   * Runs in a turn of its own on the engine's thread after another thread, or this one, has called `wake`, in the async context in which it
   * was set. Where it is null, which is the default, a wake-up waits until it is set. With `waitStrategy` `'manual'` it runs when the program
   * returns to the event loop, not in `poll`. What it throws is an uncaught exception. All servers and clients that share the engine share
   * it. Null again after the engine's end. Throws `ZERIO_BAD_ARGUMENT` for what is no function.
   */
  get onWake(): (() => void) | null {
    return this.#onWake
  }
  /** See the getter. */
  set onWake(handler: (() => void) | null) {
    if (handler !== null) checkHandler('onWake', handler)
    this.#onWake = handler
    if (handler === null) return
    this.#engine.openWakerScope()
    if (this.#missed) this.wake()
  }

  #run(): void {
    this.#missed = this.#onWake === null
    this.#onWake?.()
  }

  /** @internal The engine has ended. */
  close(): void {
    this.#onWake = null
  }
}
