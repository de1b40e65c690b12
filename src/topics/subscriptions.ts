// The topics that a client has subscribed to, and its requests that the server has not answered. They outlive connections.
import type { Engine } from '../engine/engine.js'
import { Limit, TopicOpcode } from '../engine/layout.js'
import type { SendRing } from '../engine/send_ring.js'
import { printableText, ZerioError } from '../errors.js'
import { checkTopicName, describe } from '../options/options.js'
import { DisconnectReason } from '../reason.js'
import { Status } from '../status.js'

const NOT_CONNECTED = 'ZERIO_NOT_CONNECTED'

/** The connection that carries the requests. */
interface Line {
  readonly engine: Engine
  readonly ring: SendRing
}

interface Request {
  readonly opcode: TopicOpcode
  readonly name: string
  resolve(): void
  reject(error: ZerioError): void
}

export class Subscriptions {
  /** Those that the server has accepted, to be asked for again on the next connection. */
  readonly #names = new Set<string>()
  /** In the order of the calls. */
  #waiting: Request[] = []
  /** At most {@link Limit.TopicRequests}, by the numbers that the server repeats. */
  readonly #unanswered = new Map<number, Request>()
  #line: Line | undefined
  #hasTopics = false
  /** Whether there is a connection, or will be one. */
  #hopes = false
  #number = 0
  readonly #onRefused: (name: string, error: ZerioError) => void

  /** @param onRefused is called when the server refuses on a later connection what it had accepted. */
  constructor(onRefused: (name: string, error: ZerioError) => void) {
    this.#onRefused = onRefused
  }

  /** Resolves when the server has done what is asked. May throw. */
  ask(opcode: TopicOpcode, name: string): Promise<void> {
    checkTopicName(name)
    if (!this.#hopes) throw notConnected('there is none')
    if (this.#line !== undefined && !this.#hasTopics) throw unsupported(name)
    if (this.#line !== undefined && this.#line.ring.status !== Status.Sent)
      throw notConnected('this side has ended it')
    return new Promise((resolve, reject) => {
      this.#waiting.push({ opcode, name, resolve, reject })
      this.#send()
    })
  }

  /** There is a connection. In a session that goes on, the server still has what it had accepted. */
  connected(line: Line, hasTopics: boolean, goesOn: boolean): void {
    this.#hopes = true
    this.#takeBack()
    if (!goesOn) this.#askAgain()
    this.#line = line
    this.#hasTopics = hasTopics
    if (hasTopics) this.#send()
    else for (const { name, reject } of this.#waiting.splice(0)) reject(unsupported(name))
  }

  /** The connection is gone, and the client makes another one. */
  broken(): void {
    this.#line = undefined
  }

  /** There is no connection, and none will come. */
  ended(why: string): void {
    this.#hopes = false
    this.#line = undefined
    this.#takeBack()
    this.#names.clear()
    for (const { reject } of this.#waiting.splice(0)) reject(notConnected(why))
  }

  /** The server has answered. */
  answered(number: number, code: number, text: string): void {
    const request = this.#unanswered.get(number)
    if (request === undefined) return
    this.#unanswered.delete(number)
    this.#send()
    if (code !== 0) {
      const reason = new DisconnectReason(code, text, 0, false)
      request.reject(
        new ZerioError(
          reason.code,
          `The server refuses the topic ${describe(request.name)}: ${printableText(reason.message)}.`
        )
      )
      return
    }
    if (request.opcode === TopicOpcode.Subscribe) this.#names.add(request.name)
    else this.#names.delete(request.name)
    request.resolve()
  }

  /** What the connection before has not answered is asked first. */
  #takeBack(): void {
    this.#waiting.unshift(...this.#unanswered.values())
    this.#unanswered.clear()
  }

  #askAgain(): void {
    const again = Array.from(this.#names, (name) => ({
      opcode: TopicOpcode.Subscribe,
      name,
      resolve: () => {},
      reject: (error: ZerioError) => {
        // Without a connection there is no refusal.
        if (error.code !== NOT_CONNECTED) this.#onRefused(name, error)
      }
    }))
    this.#names.clear()
    this.#waiting.unshift(...again)
  }

  #send(): void {
    const line = this.#line
    if (line === undefined || line.ring.status !== Status.Sent) return
    while (this.#waiting.length > 0 && this.#unanswered.size < Limit.TopicRequests) {
      const request = this.#waiting.shift() as Request
      const number = this.#number++ >>> 0
      this.#unanswered.set(number, request)
      line.engine.native.requestTopic(line.ring.slot, request.opcode, number, request.name)
    }
  }
}

function notConnected(why: string): ZerioError {
  return new ZerioError(
    NOT_CONNECTED,
    `No connection carries the request for a topic: ${why}. Ask again when the client is connected.`
  )
}

function unsupported(name: string): ZerioError {
  return new ZerioError(
    'ZERIO_SUBSCRIBE_UNSUPPORTED',
    `The server knows no requests for topics, so ${describe(name)} cannot be asked for; update the server, or let the programs exchange messages instead.`
  )
}
