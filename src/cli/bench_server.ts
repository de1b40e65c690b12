// The listening side of `zerio bench`: sends back, or counts, what the connecting side sends, and measures its own garbage.
import { readClock } from '../clock.js'
import { GcProbe } from '../gc/probe.js'
import { CloseCode, type Peer, type WaitStrategy, ZerioServer } from '../index.js'
import { Channel, decodeRequest, encode } from './bench_protocol.js'
import { heartbeatMs, quietProbe } from './bench_settings.js'
import { MessageCount } from './message_count.js'
import { keepPolling } from './polling.js'

export interface BenchServerEvents {
  came(peer: Peer): void
  left(peer: Peer, why: string): void
}

/** One connected benchmark. */
class Session {
  readonly #probe = new GcProbe(quietProbe)
  readonly #clock = new Float64Array(2)
  readonly #received = new MessageCount()
  readonly #echoed = new MessageCount()

  constructor(
    private readonly peer: Peer,
    private readonly wait: WaitStrategy
  ) {}

  begin(): void {
    this.stop()
    this.#received.clear()
    this.#echoed.clear()
    this.peer.send(encode({ kind: 'began', wait: this.wait, node: process.version }), Channel.Control)
    this.#probe.start()
  }

  echo(buffer: Buffer, offset: number, length: number): void {
    this.#echoed.add()
    this.peer.send(buffer, offset, length, Channel.Echo)
  }

  count(): void {
    if (this.#received.value === 0) readClock(this.#clock, 0)
    this.#received.add()
  }

  end(): void {
    if (!this.#probe.isRunning) return
    readClock(this.#clock, 1)
    const received = this.#received.value
    this.#probe.operation(received + this.#echoed.value)
    const garbage = this.#probe.stop()
    const elapsedMs = received > 0 ? (this.#clock[1] - this.#clock[0]) / 1e6 : 0
    this.peer.send(encode({ kind: 'ended', received, elapsedMs, garbage }), Channel.Control)
  }

  stop(): void {
    if (this.#probe.isRunning) this.#probe.stop()
  }
}

export class BenchServer {
  readonly #server: ZerioServer
  readonly #wait: WaitStrategy
  #stopPolling = () => {}

  constructor(address: { host?: string; port: number }, wait: WaitStrategy, events: BenchServerEvents) {
    this.#wait = wait
    this.#server = new ZerioServer(address, { waitStrategy: wait, heartbeatMs })
    this.#server.on('clientConnected', (_id, peer) => {
      peer.userData = new Session(peer, wait)
      events.came(peer)
    })
    this.#server.on('clientDisconnected', (_id, reason, peer) => {
      const session = peer.userData as Session
      session.stop()
      events.left(peer, reason.message)
    })
    this.#server.onMessage = (peer, buffer, offset, length, channel) => {
      const session = peer.userData as Session
      if (channel === Channel.Echo) session.echo(buffer, offset, length)
      else if (channel === Channel.Flow) session.count()
      else obey(peer, session, buffer, offset, length)
    }
  }

  async start(): Promise<{ host: string; port: number }> {
    await this.#server.start('bench')
    if (this.#wait === 'manual') this.#stopPolling = keepPolling(this.#server)
    return { host: this.#server.listeningHost, port: this.#server.listeningPort }
  }

  async stop(): Promise<void> {
    this.#stopPolling()
    await this.#server.stop()
  }
}

function obey(peer: Peer, session: Session, buffer: Buffer, offset: number, length: number): void {
  const request = decodeRequest(buffer, offset, length)
  if (request === undefined) peer.close(CloseCode.ApplicationMin, 'no request of zerio bench')
  else if (request.kind === 'begin') session.begin()
  else session.end()
}
