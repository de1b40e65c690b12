// Talks to the inspector of another process: a client of WebSocket, as far as the inspector needs one.
import { randomBytes } from 'node:crypto'
import { get, request } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

const enum Opcode {
  Continuation = 0,
  Text = 1,
  Close = 8,
  Ping = 9,
  Pong = 10
}

interface Answer {
  id?: number
  method?: string
  params?: unknown
  result?: unknown
  error?: { message: string }
}

interface Pending {
  resolve: (result: unknown) => void
  reject: (error: Error) => void
}

/** How long the inspector may take for an answer of HTTP. */
const httpLimitMs = 2000
const closeLimitMs = 2000

/** The addresses of what can be debugged behind a port. Rejects when nothing answers there. */
export function inspectorUrls(host: string, port: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const asked = get({ host, port, path: '/json/list', timeout: httpLimitMs }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('end', () => {
        try {
          const targets = JSON.parse(text) as { webSocketDebuggerUrl?: string }[]
          resolve(targets.flatMap(({ webSocketDebuggerUrl }) => webSocketDebuggerUrl ?? []))
        } catch {
          reject(new Error(`${host}:${port} is no inspector`))
        }
      })
    })
    asked.on('timeout', () => asked.destroy(new Error(`${host}:${port} does not answer`)))
    asked.on('error', reject)
  })
}

export class InspectorSocket {
  /** Called for what the inspector says by itself. */
  onEvent: (method: string, params: unknown) => void = () => {}
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #received: Buffer = Buffer.alloc(0)
  #message: Buffer[] = []

  private constructor(private readonly socket: Socket) {
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        for (const { reject } of this.#pending.values())
          reject(new Error('the inspector has closed the connection'))
        this.#pending.clear()
        resolve()
      })
    })
    socket.on('error', () => socket.destroy())
    socket.on('data', (data) => this.#receive(data))
  }

  static connect(url: string): Promise<InspectorSocket> {
    const { hostname, port, pathname } = new URL(url)
    return new Promise((resolve, reject) => {
      const asked = request({
        host: hostname.replace(/^\[|\]$/g, ''),
        port,
        path: pathname,
        timeout: httpLimitMs,
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Key': randomBytes(16).toString('base64')
        }
      })
      asked.on('upgrade', (_response, socket: Socket, head: Buffer) => {
        socket.setTimeout(0)
        const inspector = new InspectorSocket(socket)
        inspector.#receive(head)
        resolve(inspector)
      })
      asked.on('response', ({ statusCode }) => reject(new Error(`the inspector refuses with ${statusCode}`)))
      asked.on('timeout', () => asked.destroy(new Error('the inspector does not answer')))
      asked.on('error', reject)
      asked.end()
    })
  }

  get isClosed(): boolean {
    return this.socket.destroyed
  }

  /** Resolves with the result of a command, and rejects with what the inspector says against it. */
  send(method: string, params: object = {}): Promise<unknown> {
    if (this.isClosed) return Promise.reject(new Error('the inspector has closed the connection'))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      this.#write(Opcode.Text, Buffer.from(JSON.stringify({ id, method, params })))
    })
  }

  /** Resolves when the inspector has ended the connection: Node.js may crash when the other end does so first. */
  async close(): Promise<void> {
    if (!this.isClosed) this.#write(Opcode.Close, Buffer.alloc(0))
    await Promise.race([this.closed, pause(closeLimitMs, undefined, { ref: false })])
    this.socket.destroy()
  }

  /** A client has to mask what it sends. */
  #write(opcode: Opcode, payload: Buffer): void {
    const { length } = payload
    const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
    head[0] = 128 | opcode
    head[1] = 128 | (length < 126 ? length : length < 65_536 ? 126 : 127)
    if (head.length === 4) head.writeUInt16BE(length, 2)
    if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
    const mask = randomBytes(4)
    this.socket.write(Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i & 3])]))
  }

  #receive(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data])
    for (;;) {
      const received = this.#received
      if (received.length < 2) return
      const short = received[1] & 127
      const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10
      if (received.length < headBytes) return
      const length =
        short < 126 ? short : short === 126 ? received.readUInt16BE(2) : Number(received.readBigUInt64BE(2))
      if (received.length < headBytes + length) return
      this.#received = received.subarray(headBytes + length)
      this.#onFrame(received[0], received.subarray(headBytes, headBytes + length))
    }
  }

  #onFrame(first: number, payload: Buffer): void {
    const opcode = first & 15
    if (opcode === Opcode.Close) this.socket.end()
    if (opcode === Opcode.Ping) this.#write(Opcode.Pong, payload)
    if (opcode !== Opcode.Text && opcode !== Opcode.Continuation) return
    this.#message.push(payload)
    if ((first & 128) === 0) return
    const text = Buffer.concat(this.#message).toString()
    this.#message = []
    const { id, method, params, result, error } = JSON.parse(text) as Answer
    if (id === undefined) {
      if (method !== undefined) this.onEvent(method, params)
      return
    }
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (error !== undefined) pending?.reject(new Error(error.message))
    else pending?.resolve(result)
  }
}
