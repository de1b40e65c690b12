// What `ping` asks the other side of a connection: one question at a time.
import type { Engine } from '../engine/engine.js'
import type { SendRing } from '../engine/send_ring.js'
import { misuse, ZerioError } from '../errors.js'
import { describe } from '../options/given.js'
import type { DisconnectReason } from '../reason.js'
import { Status } from '../status.js'

/** How long `ping` waits by default. */
export const PING_TIMEOUT_MS = 10_000
const TIMEOUT_MS_MAX = 3_600_000

/** The error of a question that no connection can carry. */
export function notConnected(why: string): ZerioError {
  return new ZerioError(
    'ZERIO_NOT_CONNECTED',
    `No connection carries the PING and its answer: ${why}. Ask again when there is one.`
  )
}

interface Waiting {
  readonly answer: Promise<number>
  resolve(rttUs: number): void
  reject(error: ZerioError): void
  readonly timer: NodeJS.Timeout
}

export class Question {
  readonly #engine: Engine
  readonly #ring: SendRing
  #waiting: Waiting | undefined
  /** Why no answer can come any more. */
  #over: string | undefined

  constructor(engine: Engine, ring: SendRing) {
    this.#engine = engine
    this.#ring = ring
  }

  /** Resolves with the microseconds that the answer took. May throw. */
  ask(timeoutMs: number): Promise<number> {
    if (!(Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS_MAX)) {
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `timeoutMs must be an integer from 1 to ${TIMEOUT_MS_MAX}, not ${describe(timeoutMs)}.`
      )
    }
    if (this.#over !== undefined) throw notConnected(this.#over)
    if (this.#ring.status !== Status.Sent) throw notConnected('the connection is closing or has ended')
    if (this.#ring.classic) {
      throw new ZerioError(
        'ZERIO_PING_UNSUPPORTED',
        'The classic protocol has no PING; let the programs exchange messages instead.'
      )
    }
    this.#waiting ??= this.#send(timeoutMs)
    return this.#waiting.answer
  }

  answered(): void {
    this.#end()?.resolve(this.#ring.rttUs)
  }

  ended(reason: DisconnectReason): void {
    this.#end()?.reject(notConnected(reason.message))
  }

  /** One of the sides has ended: from now on PINGs, or their answers, cannot be sent. */
  halfClosed(who: 'this side' | 'the other side'): void {
    this.#over = `${who} has ended`
    this.#end()?.reject(notConnected(this.#over))
  }

  #send(timeoutMs: number): Waiting {
    let resolve: Waiting['resolve'] = () => {}
    let reject: Waiting['reject'] = () => {}
    const answer = new Promise<number>((onAnswer, onError) => {
      resolve = onAnswer
      reject = onError
    })
    const timer = setTimeout(() => this.#late(timeoutMs), timeoutMs)
    timer.unref()
    this.#engine.native.ask(this.#ring.slot)
    return { answer, resolve, reject, timer }
  }

  #late(timeoutMs: number): void {
    this.#engine.native.askNoMore(this.#ring.slot)
    this.#end()?.reject(
      new ZerioError(
        'ZERIO_PING_TIMEOUT',
        `The other side has not answered a PING within ${timeoutMs} ms: it is busy, or the network is slow or broken. Ask again, or end the connection.`
      )
    )
  }

  #end(): Waiting | undefined {
    const waiting = this.#waiting
    this.#waiting = undefined
    clearTimeout(waiting?.timer)
    return waiting
  }
}
