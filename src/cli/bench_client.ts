// The connecting side of `zerio bench`: leads through the phases and measures them.
import { readClock } from '../clock.js'
import { printableText } from '../errors.js'
import { GcProbe } from '../gc/probe.js'
import type { GcReportData } from '../gc/report.js'
import { type PoolBuffer, type SendStatus, type WaitStrategy, ZerioClient } from '../index.js'
import { Status } from '../status.js'
import { type Answer, Channel, decodeAnswer, encode, type PhaseName, type Request } from './bench_protocol.js'
import { heartbeatMs, quietProbe } from './bench_settings.js'
import { Histogram } from './histogram.js'
import { MessageCount } from './message_count.js'
import { keepPolling } from './polling.js'

export interface BenchClientOptions {
  host: string
  port: number
  wait: WaitStrategy
  messageBytes: number
}

export interface RoundTripsUs {
  p50: number
  p99: number
  p999: number
  max: number
}

/** What one phase found. `here` is the connecting side, `there` the listening one. */
export interface PhaseResult {
  name: PhaseName
  /** Round trips, or messages. */
  count: number
  perSecond: number
  megabytesPerSecond: number
  roundTripUs: RoundTripsUs | null
  here: GcReportData
  there: GcReportData
}

/** As many messages between two looks at the clock. */
const stepMessages = 256
/** Between two steps the event loop gets its turn, for signals and for what the other side says. */
const sliceNs = 5e6
/** Of round trips in the histogram, which ends at 2^31: that is 8.6 s, and a silent connection ends before. */
const unitNs = 4
const unitsMax = 2 ** 31 - 1
/** A zerio server of another kind accepts the connection, and says nothing. */
const beginLimitMs = 3000
const strangerText = 'the other side does not answer as a zerio bench --listen does'

/** Now, and when the phase ends, in nanoseconds. */
const enum Clock {
  Now,
  End,
  SentAt
}

export class BenchClient {
  /** What the other side said of itself. */
  there = { wait: '', node: '' }
  /** Rejects when the connection ends before `stop`. */
  readonly lost: Promise<never>
  readonly #client: ZerioClient
  readonly #message: Buffer
  readonly #clock = new Float64Array(3)
  readonly #probe = new GcProbe(quietProbe)
  readonly #roundTrips = new Histogram()
  readonly #messages = new MessageCount()
  #takeAnswer: (answer: Answer) => void = () => {}
  #phaseOver: () => void = () => {}
  #goOn: () => void = () => {}
  #fail: (error: Error) => void = () => {}
  #stopping = false
  #stopPolling = () => {}
  /** With 'manual': what comes after the next poll. */
  #afterPoll: (() => void) | undefined

  constructor(private readonly options: BenchClientOptions) {
    const { host, port, wait, messageBytes } = options
    this.#message = Buffer.alloc(messageBytes, 0x5a)
    this.lost = new Promise((_, reject) => {
      this.#fail = reject
    })
    // Who waits for it does so at its own time.
    this.lost.catch(() => {})
    this.#client = new ZerioClient({ host, port }, { waitStrategy: wait, heartbeatMs })
    this.#client.on('drain', () => this.#goOn())
    this.#client.on('disconnected', (reason) => {
      if (!this.#stopping) this.#fail(new Error(`the connection ended: ${reason.message}`))
    })
    this.#client.onMessage = (buffer, offset, length, channel) => {
      if (channel === Channel.Echo) this.#takeEcho(length)
      else this.#takeControl(buffer, offset, length)
    }
  }

  async start(): Promise<void> {
    await this.#client.start(`bench-${process.pid}-${Date.now()}`)
    if (this.options.wait === 'manual') this.#stopPolling = keepPolling(this.#client, () => this.#takeTurn())
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#stopPolling()
    await this.#client.stop()
  }

  async run(name: PhaseName, seconds: number): Promise<PhaseResult> {
    const timer = setTimeout(() => this.#fail(new Error(strangerText)), beginLimitMs).unref()
    const began = await this.#ask({ kind: 'begin' })
    clearTimeout(timer)
    if (began.kind === 'began') {
      this.there = { wait: printableText(began.wait), node: printableText(began.node) }
    }
    this.#roundTrips.clear()
    this.#messages.clear()
    this.#probe.start()
    readClock(this.#clock, Clock.Now)
    this.#clock[Clock.End] = this.#clock[Clock.Now] + seconds * 1e9
    const startNs = this.#clock[Clock.Now]
    const over = new Promise<void>((resolve) => {
      this.#phaseOver = resolve
    })
    if (name === 'roundTrip') this.#sendEcho()
    else this.#pour(name === 'send' ? this.#sendStep : this.#claimStep)
    await Promise.race([over, this.lost])
    const elapsedMs = (this.#clock[Clock.Now] - startNs) / 1e6
    this.#probe.operation(this.#messages.value)
    const here = this.#probe.stop()
    const ended = await this.#ask({ kind: 'end' })
    if (ended.kind !== 'ended') throw new Error(strangerText)
    return this.#result(name, elapsedMs, here, ended)
  }

  #result(
    name: PhaseName,
    elapsedMs: number,
    here: GcReportData,
    { received, elapsedMs: elapsedThereMs, garbage }: Extract<Answer, { kind: 'ended' }>
  ): PhaseResult {
    const count = this.#messages.value
    if (name !== 'roundTrip' && received !== count) {
      throw new Error(`${count} messages were sent, ${received} arrived`)
    }
    // What is received counts, not what is still in some buffer.
    const perSecond = (count * 1000) / (name === 'roundTrip' ? elapsedMs : elapsedThereMs)
    const us = (units: number) => (units * unitNs) / 1000
    const quantileUs = (fraction: number) => us(this.#roundTrips.quantile(fraction))
    return {
      name,
      count,
      perSecond,
      megabytesPerSecond: (perSecond * this.options.messageBytes) / 1e6,
      roundTripUs:
        name === 'roundTrip'
          ? {
              p50: quantileUs(0.5),
              p99: quantileUs(0.99),
              p999: quantileUs(0.999),
              max: us(this.#roundTrips.max)
            }
          : null,
      here,
      there: garbage
    }
  }

  #sendEcho(): void {
    readClock(this.#clock, Clock.SentAt)
    this.#client.send(this.#message, Channel.Echo)
    this.#client.flush()
  }

  #takeEcho(length: number): void {
    readClock(this.#clock, Clock.Now)
    if (length !== this.options.messageBytes) this.#fail(new Error(`${length} bytes came back`))
    this.#messages.add()
    const units = (this.#clock[Clock.Now] - this.#clock[Clock.SentAt]) / unitNs
    this.#roundTrips.record(Math.min(units, unitsMax) | 0)
    if (this.#clock[Clock.Now] < this.#clock[Clock.End]) this.#sendEcho()
    else this.#phaseOver()
  }

  /** Sends as fast as the connection takes it until the time is over. */
  #pour(step: () => SendStatus): void {
    const slice = new Float64Array(1)
    let isWaiting = false
    const goOn = () => {
      isWaiting = false
      readClock(slice, 0)
      slice[0] += sliceNs
      for (;;) {
        const status = step.call(this)
        readClock(this.#clock, Clock.Now)
        // A slow connection may never take a whole step.
        if (this.#clock[Clock.Now] >= this.#clock[Clock.End]) {
          this.#goOn = () => {}
          this.#phaseOver()
          return
        }
        if (status !== Status.Sent) {
          isWaiting = true
          return
        }
        if (this.#clock[Clock.Now] >= slice[0]) {
          if (this.options.wait === 'manual') this.#afterPoll = goOn
          else setImmediate(goOn)
          return
        }
      }
    }
    this.#goOn = () => {
      if (isWaiting) goOn()
    }
    goOn()
  }

  #takeTurn(): void {
    const next = this.#afterPoll
    if (next === undefined) return
    this.#afterPoll = undefined
    next()
  }

  #sendStep(): SendStatus {
    for (let i = 0; i < stepMessages; i++) {
      const status = this.#client.send(this.#message, Channel.Flow)
      if (status !== Status.Sent) return status
      this.#messages.add()
    }
    return Status.Sent
  }

  /** Writes the first and the last byte, as a program that fills the message in place does. */
  #claimStep(): SendStatus {
    const { messageBytes } = this.options
    for (let i = 0; i < stepMessages; i++) {
      const at = this.#client.claim(messageBytes, Channel.Flow)
      if (at < 0) return at as SendStatus
      const { view } = this.#client
      view.setUint8(at, i)
      view.setUint8(at + messageBytes - 1, i)
      this.#client.commit()
      this.#messages.add()
    }
    return Status.Sent
  }

  /** One question at a time. It may have to wait until the flow before it has left. */
  #ask(request: Request): Promise<Answer> {
    const answer = new Promise<Answer>((resolve) => {
      this.#takeAnswer = resolve
    })
    const bytes = encode(request)
    const send = () => {
      if (this.#client.send(bytes, Channel.Control) === Status.BackPressured) this.#goOn = send
      else this.#goOn = () => {}
    }
    send()
    return Promise.race([answer, this.lost])
  }

  #takeControl(buffer: PoolBuffer, offset: number, length: number): void {
    const answer = decodeAnswer(buffer, offset, length)
    if (answer === undefined) this.#fail(new Error(strangerText))
    else this.#takeAnswer(answer)
  }
}
