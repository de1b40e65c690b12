// A server's verdict on newcomers: asks the program's `authenticate`, which answers at once or by a promise.
import type { Hello } from '../engine/connection.js'
import type { Engine } from '../engine/engine.js'
import { ZerioError } from '../errors.js'
import type { Authenticate } from '../options/authenticate.js'
import { describe } from '../options/options.js'
import { addressesOf } from './addresses.js'

/** Reports an error of this code; `make` gets how many it stands for. */
type Report = (code: string, make: (count: number) => ZerioError) => void

export class Admission {
  readonly #authenticate: Authenticate
  readonly #report: Report
  /** Who waits for a promise, by slot. A slot that was released meanwhile can have another newcomer. */
  readonly #waiting = new Map<number, object>()

  constructor(authenticate: Authenticate, report: Report) {
    this.#authenticate = authenticate
    this.#report = report
  }

  /** A connection has said who it is. What newcomers send must not end the process: of `authenticate` no exception passes. */
  ask(engine: Engine, slot: number, hello: Hello): void {
    const idEnd = hello.offset + hello.idLength
    const id = hello.buffer.toString('utf8', hello.offset, idEnd)
    const credential = Buffer.from(hello.buffer.subarray(idEnd, idEnd + hello.credentialLength))
    const protocol = hello.classic ? 'classic' : 'native'
    const { local, remote } = addressesOf(engine, slot)
    const info = { remoteAddress: remote, localAddress: local, protocol } as const
    let verdict: unknown
    let isLater = false
    try {
      verdict = this.#authenticate(id, credential, info)
      isLater = isThenable(verdict)
    } catch (error) {
      engine.native.admit(slot, false)
      this.#failed(id, 'threw', error)
      return
    }
    if (isLater) this.#wait(engine, slot, id, verdict)
    else this.#decide(engine, slot, id, verdict)
  }

  /** The connection in this slot has ended. */
  released(slot: number): void {
    this.#waiting.delete(slot)
  }

  /** The server has no connections any more. The engine may still have to say so for some of them. */
  releasedAll(): void {
    this.#waiting.clear()
  }

  #wait(engine: Engine, slot: number, id: string, verdict: unknown): void {
    const token = {}
    this.#waiting.set(slot, token)
    engine.native.postpone(slot)
    const isOver = (): boolean => this.#waiting.get(slot) !== token || !this.#waiting.delete(slot)
    new Promise((resolve) => resolve(verdict))
      .then(
        (value) => {
          if (!isOver()) this.#decide(engine, slot, id, value)
        },
        (error: unknown) => {
          if (isOver()) return
          engine.native.admit(slot, false)
          this.#failed(id, 'rejected', error)
        }
      )
      .catch((error: unknown) => {
        // A listener of the `error` event threw: the exception is the program's, as that of any listener.
        queueMicrotask(() => {
          throw error
        })
      })
  }

  #decide(engine: Engine, slot: number, id: string, verdict: unknown): void {
    engine.native.admit(slot, verdict === true)
    if (typeof verdict === 'boolean') return
    this.#report('ZERIO_AUTHENTICATE_FAILED', (count) => {
      const text = `The option "authenticate" must return true or false, or a promise of one, not ${describe(verdict)}; the peer ${describe(id)} was refused.`
      return new ZerioError('ZERIO_AUTHENTICATE_FAILED', text, { count })
    })
  }

  #failed(id: string, how: 'threw' | 'rejected', cause: unknown): void {
    this.#report('ZERIO_AUTHENTICATE_FAILED', (count) => {
      const text = `The option "authenticate" ${how} for the peer ${describe(id)}, which was refused; let it answer with false instead.`
      return new ZerioError('ZERIO_AUTHENTICATE_FAILED', text, { cause, count })
    })
  }
}

function isThenable(value: unknown): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return typeof (value as { then?: unknown }).then === 'function'
}
