// Reads the engine's events and calls the connections and servers that they belong to, each in its async context.
import { AsyncResource } from 'node:async_hooks'
import { setImmediate } from 'node:timers'
import { misuse } from '../errors.js'
import { DisconnectReason } from '../reason.js'
import type { Connection, HeldBack, ServerEvents } from './connection.js'
import type { DispatchEngine } from './dispatch_engine.js'
import { helloOf, reasonOf, textOf } from './event_words.js'
import { countFrames, deliverAlone } from './frames.js'
import {
  AcceptErrorEvent,
  EndEvent,
  EngineWord,
  Event,
  EventKind,
  GreetingEvent,
  Header,
  Layout,
  MessageEvent,
  RefusedEvent,
  ReleasedEvent,
  ResumedEvent,
  RunEvent,
  TopicEvent
} from './layout.js'
import { performanceOriginNs } from './monotonic.js'
import type { PoolBuffer, Slab } from './pool.js'
import type { Sending } from './sending.js'
import { resize, type Slabs } from './slabs.js'

/** No slot, and no server. */
const NO_OWNER = 0x7fffffff
/** The batch is over, however many events the engine counted. */
const ALL_CONSUMED = 0x7fffffff

function nothing(): void {}

export class Dispatch {
  /** Whether events of the present batch are left. */
  batchOpen = false
  readonly #words: Int32Array
  readonly #events: Int32Array
  readonly #coreView: DataView
  readonly #receivedNs: Float64Array
  readonly #time = new Float64Array(1)
  readonly #coreBuffer: PoolBuffer
  readonly #coreBytes: number
  readonly #connections: (Connection | undefined)[] = []
  readonly #servers: (ServerEvents | undefined)[] = []
  readonly #slabs: Slabs
  readonly #sending: Sending
  readonly #engine: DispatchEngine
  /** Whether the loop hands over the events of one connection or server at a time, in its async context. */
  readonly #ofOneOwner: boolean
  /** For events of slots without a connection. */
  readonly #outside = new AsyncResource('zerio', { requireManualDestroy: true })
  #nativePoll: () => void = nothing
  /** The next event of an open batch. The engine's word for it is memory that the program can have overwritten. */
  #next = 0
  /** Also after a handler has thrown, even for the last message of its run. */
  #inRun = false
  #runAt = 0
  #runEnd = 0
  /** The place of the present message in its run, from 1 on. */
  #runPlace = 0
  /** Of the event that is being dispatched: where its words begin, and the slot that they name. */
  #eventAt = 0
  #eventSlot = 0
  #dispatched = 0
  /** Those that were resumed and hold messages. */
  readonly #resumed: HeldBack[] = []

  /** @param manual whether the program alone calls for events, by `poll`. */
  constructor(engine: DispatchEngine, slabs: Slabs, sending: Sending, core: Slab, manual: boolean) {
    this.#engine = engine
    this.#slabs = slabs
    this.#sending = sending
    this.#ofOneOwner = !manual
    this.#coreView = core.view
    const receivedNsOffset = Layout.EngineCountersOffset + Layout.EngineReceivedNs * 8
    this.#receivedNs = new Float64Array(core.words.buffer, receivedNsOffset, 1)
    this.#coreBuffer = core.buffer
    this.#coreBytes = slabs.coreBytes
    this.#words = core.words
    const eventWords = slabs.eventsCapacity * Layout.EventWords
    this.#events = new Int32Array(core.words.buffer, Layout.EventsOffset, eventWords)
    this.resize(core.count)
  }

  /** The loop has a new batch. */
  readonly onBatch = (): void => {
    // Of the batch before nothing is left, whatever the words say that the program can have overwritten.
    this.batchOpen = this.#inRun = false
    this.#dispatch(this.#ofOneOwner)
  }

  /** The loop goes on with the batch of which it has handed over a part. */
  readonly onRest = (): void => {
    if (this.batchOpen) this.#dispatch(this.#ofOneOwner)
    else this.#words[EngineWord.EventsConsumed] = ALL_CONSUMED
  }

  /** @param nativePoll begins a batch. */
  attach(nativePoll: () => void): void {
    this.#nativePoll = nativePoll
  }

  setConnection(slot: number, connection: Connection | undefined): void {
    this.#connections[slot] = connection
  }

  setServer(server: number, events: ServerEvents | undefined): void {
    this.#servers[server] = events
  }

  resize(slotCount: number): void {
    resize(this.#connections, slotCount)
  }

  /** The engine is closed: the batch has no events any more. */
  forget(): void {
    this.#words[EngineWord.EventsProduced] = 0
  }

  /** Delivers what a resumed connection holds: in a turn of its own, or where the program alone calls for events, in the next poll. */
  deliverLater(held: HeldBack): void {
    this.#resumed.push(held)
    if (this.#ofOneOwner) setImmediate(this.#deliverResumed)
  }

  readonly #deliverResumed = (): void => {
    const held = this.#resumed.shift()
    if (held === undefined) return
    this.#sending.dispatching = true
    // None of the events is being dispatched.
    this.#eventSlot = -1
    try {
      this.#dispatched += held.scope.runInAsyncScope(held.deliver, held)
    } finally {
      this.#endHandlers()
    }
  }

  /** Does I/O and runs handlers on the caller's stack. Returns how many messages were dispatched. */
  poll(): number {
    if (this.#sending.dispatching) {
      throw misuse(
        'ZERIO_POLL_IN_HANDLER',
        'poll cannot be called from a handler of the same engine; return from the handler first.'
      )
    }
    if (this.#sending.dirtyCount > 0 || this.#sending.goesOn) this.#sending.flush()
    this.#dispatched = 0
    for (let left = this.#resumed.length; left > 0; left--) this.#deliverResumed()
    if (!this.batchOpen) {
      this.#nativePoll()
      if (this.#words[EngineWord.EventsProduced] === 0) return this.#dispatched
    }
    this.#dispatch(false)
    return this.#dispatched
  }

  /**
   * Consumes the batch, or with `ofOneOwner` the consecutive events of one connection or server: those the loop delivers in its async
   * context. When a handler throws, the next call goes on with the message behind the one that was thrown for.
   */
  #dispatch(ofOneOwner: boolean): void {
    const words = this.#words
    const events = this.#events
    let next = this.batchOpen ? this.#next : 0
    let owner = NO_OWNER
    this.#sending.dispatching = true
    this.batchOpen = true
    try {
      // A verdict adds events to the batch, so the end is looked up each time. It may have been overwritten, too.
      for (;;) {
        const at = next * Layout.EventWords
        if (next >= words[EngineWord.EventsProduced] || at >= events.length) {
          this.batchOpen = false
          break
        }
        const slot = events[at + Event.Owner]
        this.#eventAt = at
        this.#eventSlot = slot
        if (events[at] === EventKind.Run) {
          if (slot !== owner && owner !== NO_OWNER) break
          if (!this.#inRun) {
            this.#inRun = true
            this.#beginRun(events[at + RunEvent.Offset], events[at + RunEvent.Bytes])
          }
          if (ofOneOwner) {
            owner = slot
            this.#dispatchRun()
          } else {
            this.#connections[slot]?._scope.runInAsyncScope(this.#dispatchRun, this)
          }
          this.#inRun = false
          words[EngineWord.EventsConsumed] = ++next
        } else if (events[at] === EventKind.SlabIdle) {
          // No handler is concerned.
          words[EngineWord.EventsConsumed] = ++next
          this.#engine.shrink()
        } else {
          const itsOwner = this.#ownerOf(at, slot)
          if (itsOwner !== owner && owner !== NO_OWNER) break
          // A handler that throws leaves the rest, and then this event, to the next call.
          if (events[at] === EventKind.Disconnected) this.#dispatchHeld(slot)
          words[EngineWord.EventsConsumed] = ++next
          if (ofOneOwner) {
            owner = itsOwner
            this.#dispatchEvent()
          } else {
            this.#scopeOf(itsOwner)?.runInAsyncScope(this.#dispatchEvent, this)
          }
        }
      }
    } finally {
      this.#next = next
      // A handler of the last event that threw leaves nothing to go on with.
      if (!this.#inRun && next >= words[EngineWord.EventsProduced]) this.batchOpen = false
      words[EngineWord.EventsConsumed] = this.batchOpen ? next : ALL_CONSUMED
      this.#endHandlers()
    }
  }

  #endHandlers(): void {
    this.#sending.dispatching = false
    // What many connections get waits for the end of the batch: the answers to its other events come first.
    if (this.batchOpen) this.#sending.flushRings()
    else this.#sending.flush()
    if (this.#engine.users === 0 && !this.batchOpen) this.#engine.close()
  }

  /** Whose an event is, as Engine::next_event_owner says it: a slot, or -1 - server. */
  #ownerOf(at: number, slot: number): number {
    switch (this.#events[at]) {
      case EventKind.Refused:
      case EventKind.AcceptError:
      case EventKind.SlotsLow:
        return -1 - slot
      case EventKind.Asked:
      case EventKind.Connected: {
        const server = this.#serverOf(at)
        return server < 0 ? slot : -1 - server
      }
      default:
        return slot
    }
  }

  /** The number of the message that `connection` is handling; 0 when it handles none. `received` is how many it has got so far. */
  messageNumber(connection: Connection, received: number): number {
    if (!this.#isHandledBy(connection)) return connection._pausing?.number ?? 0
    const events = this.#events
    const at = this.#eventAt
    const low =
      events[at] === EventKind.Run
        ? (events[at + RunEvent.Before] + this.#runPlace) >>> 0
        : (events[at + MessageEvent.Before] + 1) >>> 0
    return received < 2 ** 32 ? low : received - ((received - low) % 2 ** 32)
  }

  /**
   * When the message that `connection` is handling was received, on the clock of `performance.now()`; NaN when it handles none. The number
   * is in memory, because a number with a fraction that a function returns is garbage where V8 does not inline the function.
   */
  readTime(connection: Connection): Float64Array {
    const time = this.#time
    if (this.#isHandledBy(connection)) {
      const at = this.#eventAt
      const word = this.#events[at] === EventKind.Run ? RunEvent.AfterNs : MessageEvent.AfterNs
      time[0] = (this.#receivedNs[0] + (this.#events[at + word] >>> 0) - performanceOriginNs) / 1e6
    } else {
      time[0] = connection._pausing?.receivedAt ?? Number.NaN
    }
    return time
  }

  #isHandledBy(connection: Connection): boolean {
    const kind = this.#events[this.#eventAt]
    return (
      this.#sending.dispatching &&
      this.#connections[this.#eventSlot] === connection &&
      (kind === EventKind.Run || kind === EventKind.Message)
    )
  }

  #scopeOf(owner: number): AsyncResource | undefined {
    return owner < 0 ? this.#servers[-1 - owner]?.scope : (this.#connections[owner]?._scope ?? this.#outside)
  }

  /** Of a greeting: the number of its server, or -1 for that of a client. */
  #serverOf(at: number): number {
    return (this.#events[at + GreetingEvent.Origin] >> 8) - 1
  }

  #beginRun(offset: number, bytes: number): void {
    // The program can have overwritten the event.
    const inside = offset >= 0 && bytes >= 0 && offset + bytes <= this.#coreBytes
    this.#runAt = inside ? offset : 0
    this.#runEnd = inside ? offset + bytes : 0
    this.#runPlace = 0
  }

  /** Called in the scope of its connection, as the next one is in its own; neither takes arguments, which would be garbage. */
  #dispatchRun(): void {
    const connection = this.#connections[this.#eventSlot]
    const view = this.#coreView
    const buffer = this.#coreBuffer
    const end = this.#runEnd
    const last = end - Header.Bytes
    let at = connection === undefined ? end : this.#runAt
    let delivered = 0
    try {
      if (at <= last && connection?._receiving === true && connection._takesRuns) {
        const from = at
        at = end
        delivered = this.#countRun(from)
        this.#runPlace++
        connection._deliverRun(buffer, from, end, delivered)
      }
      // The engine has checked these headers, but the program can have overwritten them since.
      while (at <= last && (connection as Connection)._receiving === true) {
        const header = view.getInt32(at, true)
        const start = at + Header.Bytes
        const length = header & Header.LengthMask
        at = start + length
        if (at > end) break
        delivered++
        this.#runPlace++
        ;(connection as Connection)._deliver(buffer, start, length, header >>> Header.ChannelShift)
      }
      if (at <= last && connection !== undefined) this.#hold(connection, buffer, at, end, 1)
      at = end
    } finally {
      this.#runAt = at
      this.#dispatched += delivered
    }
  }

  /** How many frames the run has from here on: as the engine says it, unless a handler has thrown for one of them. */
  #countRun(at: number): number {
    const all = this.#events[this.#eventAt + RunEvent.Count]
    return this.#runPlace > 0 ? countFrames(this.#coreView, at, this.#runEnd) : all
  }

  /** What is being dispatched, or the rest of it, stays until the program wants it. `behind`: how far it is behind the present message. */
  #hold(connection: Connection, buffer: PoolBuffer, at: number, end: number, behind: number): void {
    const held = connection._pausing
    if (held === undefined) return
    const received = this.#slabs.rings[this.#eventSlot]?.counters.messagesReceived ?? 0
    const number = this.messageNumber(connection, received) + behind
    held.hold(buffer, at, end, number, this.readTime(connection)[0])
  }

  /** The connection has ended: what it holds back comes before its end. */
  #dispatchHeld(slot: number): void {
    const held = this.#connections[slot]?._pausing
    if (held?.holds) this.#dispatched += held.scope.runInAsyncScope(held.deliverAll, held)
  }

  /** The program can have overwritten any word of an event: the event may be ignored then, but must not lead outside of the pools. */
  #dispatchEvent(): void {
    const events = this.#events
    const at = this.#eventAt
    const slot = this.#eventSlot
    switch (events[at]) {
      case EventKind.Message: {
        const connection = this.#connections[slot]
        if (connection === undefined) return
        const buffer = this.#slabs.list[events[at + MessageEvent.Slab]]?.buffer
        const offset = events[at + MessageEvent.Offset]
        const length = events[at + MessageEvent.Length]
        if (buffer === undefined || offset < Header.Bytes || length < 0 || offset + length > buffer.length)
          return
        this.#dispatchMessage(connection, buffer, offset, length, events[at + MessageEvent.Channel])
        return
      }
      case EventKind.Drain: {
        this.#slabs.rings[slot]?.drained()
        this.#connections[slot]?._drained()
        return
      }
      default:
        this.#dispatchChange(events[at], at, slot)
    }
  }

  /** A message whose bytes came in two parts. */
  #dispatchMessage(
    connection: Connection,
    buffer: PoolBuffer,
    offset: number,
    length: number,
    channel: number
  ): void {
    if (!connection._receiving) {
      // Its header lies in front of it.
      this.#hold(connection, buffer, offset - Header.Bytes, offset + length, 0)
      return
    }
    this.#dispatched++
    deliverAlone(connection, buffer, offset, length, channel)
  }

  /** An event that changes what a connection or server is, or says that it could not be changed. */
  #dispatchChange(kind: number, at: number, slot: number): void {
    const events = this.#events
    switch (kind) {
      case EventKind.Asked:
      case EventKind.Connected:
        this.#dispatchGreeting(kind, at, slot)
        return
      case EventKind.Disconnected: {
        const code = events[at + EndEvent.Code]
        const errno = events[at + EndEvent.Errno]
        const unacknowledged = events[at + EndEvent.Unacknowledged]
        const text = textOf(events, at, this.#slabs.list)
        this.#connections[slot]?._disconnected(code, text, errno, unacknowledged)
        return
      }
      case EventKind.Suspended:
        this.#connections[slot]?._suspended(reasonOf(events, at, this.#slabs.list))
        return
      case EventKind.Resumed: {
        const by = events[at + ResumedEvent.By]
        if (by < 0 || by >= this.#slabs.slotCount) return
        this.#connections[slot]?._resumed(this.#engine.takeSlot(by), events[at + ResumedEvent.LengthMax])
        return
      }
      case EventKind.Reached:
        this.#connections[slot]?._reached()
        return
      case EventKind.Pong:
        this.#connections[slot]?._answered()
        return
      case EventKind.Ended:
        this.#connections[slot]?._ended()
        return
      case EventKind.Idle:
        this.#connections[slot]?._idle()
        return
      case EventKind.ConnectFailed:
        this.#connections[slot]?._connectFailed(reasonOf(events, at, this.#slabs.list))
        return
      case EventKind.TopicRequest:
      case EventKind.TopicAnswer:
        this.#dispatchTopic(kind, at, slot)
        return
      case EventKind.Released:
        this.#dispatchReleased(slot, events[at + ReleasedEvent.Server])
        return
      case EventKind.Refused: {
        const code = events[at + RefusedEvent.Code]
        const reason = new DisconnectReason(code, '', events[at + RefusedEvent.Errno], false)
        this.#servers[slot]?.refused(reason, events[at + RefusedEvent.Count], events[at + RefusedEvent.Peer])
        return
      }
      case EventKind.AcceptError:
        this.#servers[slot]?.acceptFailed(events[at + AcceptErrorEvent.Errno])
        return
      case EventKind.SlotsLow:
        this.#engine.growFor(this.#servers[slot])
        return
    }
  }

  #dispatchGreeting(kind: EventKind.Asked | EventKind.Connected, at: number, slot: number): void {
    const hello = helloOf(this.#events, at, this.#slabs.list)
    if (hello === undefined || slot < 0 || slot >= this.#slabs.slotCount) return
    const server = this.#serverOf(at)
    if (server < 0) this.#connections[slot]?._connected(hello)
    else if (kind === EventKind.Asked) this.#servers[server]?.asked(slot, hello)
    else this.#servers[server]?.greeted(this.#engine.takeSlot(slot), hello)
  }

  #dispatchTopic(kind: EventKind.TopicRequest | EventKind.TopicAnswer, at: number, slot: number): void {
    const request = this.#events[at + TopicEvent.Request] >>> 0
    const what = this.#events[at + TopicEvent.What]
    const text = textOf(this.#events, at, this.#slabs.list)
    if (kind === EventKind.TopicRequest) this.#connections[slot]?._topicAsked(what, request, text)
    else this.#connections[slot]?._topicAnswered(request, what, text)
  }

  #dispatchReleased(slot: number, server: number): void {
    const connection = this.#connections[slot]
    this.#connections[slot] = undefined
    this.#engine.freeSlot(slot)
    try {
      connection?._released()
    } finally {
      if (server >= 0) this.#servers[server]?.slotReleased(slot)
    }
  }
}
