// Requests and responses on top of messages: a number in front of each, so that many can be under way and answers may overtake.
//
//   u32 number of the request · u8 what it is · the body
import { SendStatus } from 'zerio'

const HEAD_BYTES = 5
const REQUEST = 0
const ANSWER = 1
const FAILURE = 2

export class RequestError extends Error {
  /** @param {'refused' | 'timeout' | 'disconnected' | 'full' | 'too large'} why */
  constructor(why, message) {
    super(message)
    this.name = 'RequestError'
    this.why = why
  }
}

const notSent = { [SendStatus.BackPressured]: 'full', [SendStatus.TooLarge]: 'too large' }

/** Returns a SendStatus. */
function sendFrame(endpoint, number, kind, body) {
  const at = endpoint.claim(HEAD_BYTES + body.length)
  if (at < 0) return at
  endpoint.view.setUint32(at, number, true)
  endpoint.view.setUint8(at + 4, kind)
  endpoint.buffer.set(body, at + HEAD_BYTES)
  return endpoint.commit()
}

/** The asking side. It takes the client's `onMessage`. */
export class Requests {
  #client
  #timeoutMs
  #waiting = new Map()
  #next = 0

  /** @param {import('zerio').ZerioClient} client */
  constructor(client, { timeoutMs = 5_000 } = {}) {
    this.#client = client
    this.#timeoutMs = timeoutMs
    client.onMessage = (buffer, offset, length) => this.#take(buffer, offset, length)
    client.on('disconnected', (reason) => {
      for (const number of this.#waiting.keys())
        this.#settle(number)?.reject(new RequestError('disconnected', String(reason)))
    })
  }

  /** Resolves with the answer's body. Rejects with a RequestError. @param {Uint8Array} body */
  request(body) {
    return new Promise((resolve, reject) => {
      const number = this.#next
      this.#next = (number + 1) >>> 0
      const status = sendFrame(this.#client, number, REQUEST, body)
      if (status !== SendStatus.Sent) {
        const why = notSent[status] ?? 'disconnected'
        reject(new RequestError(why, `The request was not sent: ${why}.`))
        return
      }
      const timer = setTimeout(() => {
        this.#settle(number)?.reject(new RequestError('timeout', `No answer within ${this.#timeoutMs} ms.`))
      }, this.#timeoutMs)
      this.#waiting.set(number, { resolve, reject, timer })
    })
  }

  #settle(number) {
    const one = this.#waiting.get(number)
    this.#waiting.delete(number)
    clearTimeout(one?.timer)
    return one
  }

  #take(buffer, offset, length) {
    if (length < HEAD_BYTES) return
    const one = this.#settle(buffer.view.getUint32(offset, true))
    // The memory belongs to the engine after this call, so the body is copied.
    const body = Buffer.from(buffer.subarray(offset + HEAD_BYTES, offset + length))
    if (buffer.view.getUint8(offset + 4) === ANSWER) one?.resolve(body)
    else one?.reject(new RequestError('refused', body.toString()))
  }
}

/**
 * The answering side. It takes the server's `onMessage`. What the handler throws goes to the one who asked, as text.
 *
 * @param {import('zerio').ZerioServer} server
 * @param {(body: Buffer, peer: import('zerio').Peer) => Uint8Array | Promise<Uint8Array>} handler
 */
export function answerRequests(server, handler) {
  server.onMessage = (peer, buffer, offset, length) => {
    if (length < HEAD_BYTES || buffer.view.getUint8(offset + 4) !== REQUEST) {
      peer.close(4000, 'no request')
      return
    }
    const number = buffer.view.getUint32(offset, true)
    answer(peer, number, Buffer.from(buffer.subarray(offset + HEAD_BYTES, offset + length)))
  }

  async function answer(peer, number, body) {
    let status
    try {
      status = sendFrame(peer, number, ANSWER, await handler(body, peer))
    } catch (error) {
      status = sendFrame(peer, number, FAILURE, Buffer.from(String(error.message)))
    }
    if (status === SendStatus.TooLarge)
      status = sendFrame(peer, number, FAILURE, Buffer.from('The answer is too long.'))
    // Who asks so much and reads so little that its ring is full gets no answers any more.
    if (status === SendStatus.BackPressured) peer.terminate()
  }
}
