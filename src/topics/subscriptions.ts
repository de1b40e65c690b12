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
  /** Those that wait, in the order of the calls: the first ones, of which the very first is the last of this list, */
  #first: Request[] = []
  /** and the others. */
  #others: Request[] = []
  /** At most {@link Limit.TopicRequests}, by the numbers that the server repeats. */
  readonly #unanswered = new Map<number, Request>()
  #line: Line | undefined
  #hasTopics = false
  /** Whether there is a connection, or will be one. */
  #hopes = false
  /** Why the connection carries no requests any more. */
  #over: string | undefined
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
    if (this.#over !== undefined) throw notConnected(this.#over)
    return new Promise((resolve, reject) => {
      this.#others.push({ opcode, name, resolve, reject })
      this.#send()
    })
  }

  /** There is a connection. In a session that goes on, the server still has what it had accepted. */
  connected(line: Line, hasTopics: boolean, goesOn: boolean): void {
    this.#hopes = true
    this.#over = undefined
    this.#takeBack()
    if (!goesOn) this.#askAgain()
    this.#line = line
    this.#hasTopics = hasTopics
    if (hasTopics) this.#send()
    else this.#rejectWaiting(unsupported)
  }

  /** One of the sides has ended. What is on its way when this side ends is still answered, and nothing else. */
  halfClosed(who: 'this side' | 'the other side'): void {
    const why = `${who} has ended`
    this.#over = why
    if (who === 'the other side') this.#takeBack()
    this.#rejectWaiting(() => notConnected(why))
  }

  /** The connection is gone, and the client makes another one. */
  broken(): void {
    this.#line = this.#over = undefined
  }

  /** There is no connection, and none will come. */
  ended(why: string): void {
    this.#hopes = false
    this.#line = this.#over = undefined
    this.#takeBack()
    this.#rejectWaiting(() => notConnected(why))
    this.#names.clear()
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
    this.#putFirst([...this.#unanswered.values()])
    this.#unanswered.clear()
  }

  #putFirst(requests: Request[]): void {
    for (const request of requests.reverse()) this.#first.push(request)
  }

  /** Takes the first one that waits. Takes the same time however many there are. */
  #next(): Request | undefined {
    if (this.#first.length === 0) {
      this.#first = this.#others.reverse()
      this.#others = []
    }
    return this.#first.pop()
  }

  #rejectWaiting(errorFor: (name: string) => ZerioError): void {
    for (let request = this.#next(); request !== undefined; request = this.#next())
      request.reject(errorFor(request.name))
  }

  #askAgain(): void {
    const again = Array.from(this.#names, (name) => ({
      opcode: TopicOpcode.Subscribe,
      name,
      resolve: () => {},
      reject: (error: ZerioError) => {
        // Without a connection there is no refusal, and the next one is asked.
        if (error.code === NOT_CONNECTED) this.#names.add(name)
        else this.#onRefused(name, error)
      }
    }))
    this.#names.clear()
    this.#putFirst(again)
  }

  #send(): void {
    const line = this.#line
    if (line === undefined || line.ring.status !== Status.Sent) return
    while (this.#unanswered.size < Limit.TopicRequests) {
      const request = this.#next()
      if (request === undefined) return
      // It follows what was sent before.
      line.ring.publish()
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
