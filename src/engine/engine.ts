// The JavaScript side of an engine: the pools, the dispatch of its events, the dirty list, and which objects share it.
import { AsyncResource } from 'node:async_hooks'
import { EngineCounters } from '../counters.js'
import { misuse, ZerioError } from '../errors.js'
import { REASON_BYTES_MAX, type ResolvedEngineOptions, type WaitStrategy } from '../options/options.js'
import { DisconnectReason } from '../reason.js'
import { type Choice, chooseBackend, engineError } from './backend.js'
import { type Exiting, forgetExiting, rememberExiting } from './exit.js'
import { EngineWord, EventKind, Header, Layout } from './layout.js'
import { type NativeEngine, native, type SlabParts } from './native.js'
import {
  type MemoryKind,
  PoolAllocator,
  type PoolBuffer,
  type PoolMemory,
  poolBuffer,
  type Slab
} from './pool.js'
import { type RingEngine, SendRing } from './send_ring.js'

/** What the other side said in its handshake: an id, and a credential right behind it. */
export interface Hello {
  readonly buffer: Buffer
  readonly offset: number
  readonly idLength: number
  readonly credentialLength: number
  readonly classic: boolean
  /** The longest message that the other side accepts. */
  readonly lengthMax: number
}

/** What a slot belongs to: a server's peer, or a client. */
export interface Connection {
  /** In whose async context its events are delivered. */
  readonly scope: AsyncResource
  deliver(buffer: PoolBuffer, offset: number, length: number, channel: number): void
  readonly receiving: boolean
  /** A client's connection is there, and its HELLO is held back. */
  reached(): void
  connected(hello: Hello): void
  connectFailed(reason: DisconnectReason): void
  disconnected(closeCode: number, text: string, errno: number): void
  drained(): void
  released(): void
}

/** What a listening server hears. */
export interface ServerEvents {
  /** In whose async context its events are delivered. */
  readonly scope: AsyncResource
  /** A connection has said who it is, and the program is asked; `hello` is valid until this returns. */
  asked(slot: number, hello: Hello): void
  /** A connection is a peer now; `hello` is valid until this returns. */
  greeted(ring: SendRing, hello: Hello): void
  /** `count` refusals of this kind since the last report. */
  refused(reason: DisconnectReason, count: number): void
  acceptFailed(errno: number): void
  slotReleased(): void
  poolRefused(error: ZerioError): void
}

/** What a program may see of the engine behind a server or client. */
export interface EngineInfo {
  /** `'epoll'`, … */
  readonly backend: string
  /** Why it was chosen. */
  readonly backendReason: string
  /** As in the options. */
  readonly waitStrategy: WaitStrategy
  /** What the engine's memory is made of: `'wasm'`, or `'shared'` where the system refuses WebAssembly memories. */
  readonly memory: MemoryKind
  /** Why it is of this kind. */
  readonly memoryReason: string
  /** Counters of the engine, over all its servers and clients. */
  readonly counters: EngineCounters
}

// Taken once: test runners replace it while they fake the time.
const { nextTick } = process
const waitStrategies: Readonly<Record<WaitStrategy, number>> = { blocking: 0, spin: 1, hybrid: 2, manual: 3 }
const PROTOCOL_CLASSIC = 2
/** No slot, and no server. */
const NO_OWNER = 0x7fffffff
/** The batch is over, however many events the engine counted. */
const ALL_CONSUMED = 0x7fffffff
const PAGE_BYTES = 4096
const FIRST_SLAB_SLOTS = 16
/** Offsets above 2^30 would not be small integers everywhere, and V8 would box them. */
const SLAB_BYTES_MAX = 2 ** 30 - PAGE_BYTES
/** Every control frame fits into an assembly buffer, however short the messages. */
const ASSEMBLY_BYTES_MIN = 1024

function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES
}

/** Where the parts of the next slab begin. */
interface SlabPlan extends SlabParts {
  readonly first: number
  readonly bytes: number
}

const engines = new Map<string, Engine>()

/** The use that one server, connection or attempt makes of an engine, until it is released. */
export class EngineUse {
  readonly #engine: Engine
  #referenced: boolean
  #released = false

  constructor(engine: Engine, referenced: boolean) {
    this.#engine = engine
    this.#referenced = referenced
    engine._retain(referenced)
  }

  /** Whether this use keeps the process alive. */
  set referenced(referenced: boolean) {
    if (this.#released || referenced === this.#referenced) return
    this.#referenced = referenced
    this.#engine._reference(referenced ? 1 : -1)
  }

  /** The last one of an engine ends it. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#engine._release(this.#referenced)
  }
}

export class Engine implements EngineInfo, RingEngine, Exiting {
  readonly native: NativeEngine
  // An object with as many functions as `native` is a dictionary to V8: a look-up by name for each call.
  readonly #nativePoll: () => void
  readonly #nativeFlush: () => void
  readonly #nativeFlushSlot: (slot: number) => void
  readonly backend: string
  readonly backendReason: string
  readonly waitStrategy: WaitStrategy
  readonly counters: EngineCounters
  readonly #words: Int32Array
  readonly #dirtyWords: Int32Array
  readonly #eventWords: Int32Array
  readonly #coreView: DataView
  readonly #coreBuffer: PoolBuffer
  readonly #coreBytes: number
  readonly #assemblyBytes: number
  readonly #allocator = new PoolAllocator()
  readonly #slabs: Slab[] = []
  readonly #rings: (SendRing | undefined)[] = []
  readonly #connections: (Connection | undefined)[] = []
  readonly #servers: (ServerEvents | undefined)[] = []
  readonly #dirty: (SendRing | undefined)[] = []
  #dirtyCount = 0
  #slotCount = 0
  readonly #key: string
  readonly #flushTick = (): void => {
    this.#tickPending = false
    this.flush()
  }
  /** For events of slots without a connection. */
  readonly #outside = new AsyncResource('zerio', { requireManualDestroy: true })
  readonly #manual: boolean
  #tickPending = false
  #users = 0
  #references = 0
  #driven = 0
  #closed = false
  #dispatching = false
  #batchOpen = false
  /** The next event of an open batch. The engine's word for it is memory that the program can have overwritten. */
  #next = 0
  /** Also after a handler has thrown, even for the last message of its run. */
  #inRun = false
  #runAt = 0
  #runEnd = 0
  /** Of the event that is being dispatched: where its words begin, and the slot that they name. */
  #eventAt = 0
  #eventSlot = 0
  #dispatched = 0

  /** The engine of this thread for these options; made when there is none. It ends with its last use, so use it at once. */
  static for(options: ResolvedEngineOptions): Engine {
    const choice = chooseBackend(options.backend)
    const key = [
      choice.backend,
      options.waitStrategy,
      options.waitStrategy === 'hybrid' ? options.spinUs : 0,
      options.maxMessageLength,
      options.sendRingBytes,
      options.receiveArenaBytes
    ].join()
    let engine = engines.get(key)
    if (engine === undefined) {
      engine = new Engine(options, choice, key)
      engines.set(key, engine)
    }
    return engine
  }

  private constructor(
    readonly options: ResolvedEngineOptions,
    choice: Choice,
    key: string
  ) {
    this.#key = key
    this.#manual = options.waitStrategy === 'manual'
    this.#assemblyBytes = pages(Math.max(options.maxMessageLength, ASSEMBLY_BYTES_MIN))
    // One event for each 8 received bytes at most, and as many again as a page of other events.
    const eventsCapacity = options.receiveArenaBytes / 8 + PAGE_BYTES
    const arenaOffset = pages(Layout.EventsOffset + eventsCapacity * Layout.EventWords * 4)
    this.#coreBytes = arenaOffset + pages(options.receiveArenaBytes)
    // Before there is an engine, which could not be taken back.
    const plan = this.#planSlab()
    const memory = this.#allocator.allocate(plan.bytes)
    this.native = native.createEngine(
      new Uint8Array(memory),
      plan,
      {
        backend: choice.backend,
        waitStrategy: waitStrategies[options.waitStrategy],
        spinUs: options.spinUs,
        maxMessageLength: options.maxMessageLength,
        sendRingBytes: options.sendRingBytes,
        assemblyBytes: this.#assemblyBytes,
        receiveArenaBytes: options.receiveArenaBytes,
        arenaOffset,
        eventsCapacity
      },
      () => {
        // Of the batch before nothing is left, whatever the words say that the program can have overwritten.
        this.#batchOpen = this.#inRun = false
        this.#dispatch(!this.#manual)
      },
      () => {
        if (this.#batchOpen) this.#dispatch(!this.#manual)
        else this.#words[EngineWord.EventsConsumed] = ALL_CONSUMED
      },
      () => this.flush()
    )
    if (this.native.errno !== 0) throw engineError(this.native.errno, choice.backend)
    this.#nativePoll = this.native.poll
    this.#nativeFlush = this.native.flush
    this.#nativeFlushSlot = this.native.flushSlot
    this.backend = this.native.backend
    this.backendReason = choice.reason
    this.waitStrategy = options.waitStrategy
    const core = this.#listSlab(plan, memory)
    this.#coreView = core.view
    this.#coreBuffer = core.buffer
    this.#words = core.words
    this.#dirtyWords = new Int32Array(memory, Layout.DirtyOffset, Layout.SlotsMax)
    this.#eventWords = new Int32Array(memory, Layout.EventsOffset, eventsCapacity * Layout.EventWords)
    this.counters = new EngineCounters(
      new Float64Array(memory, Layout.EngineCountersOffset, Layout.EngineCounters)
    )
  }

  get memory(): MemoryKind {
    return this.#allocator.kind
  }

  get memoryReason(): string {
    return this.#allocator.reason
  }

  // ---- Who uses the engine

  /** @internal See {@link EngineUse}. */
  _retain(referenced: boolean): void {
    if (this.#users++ === 0) {
      this.native.setActive(true)
      rememberExiting(this)
    }
    if (referenced) this._reference(1)
  }

  /** @internal */
  _reference(delta: 1 | -1): void {
    const before = this.#references
    this.#references += delta
    if (before > 0 !== this.#references > 0) this.native.setReferenced(this.#references > 0)
  }

  /** @internal */
  _release(referenced: boolean): void {
    if (referenced) this._reference(-1)
    // The rest of a batch still has something to say: its end ends the engine.
    if (--this.#users === 0 && !this.#dispatching && !this.#batchOpen) this.#close()
  }

  /** It has no users any more: its descriptors and threads go at once, its memory when nothing refers to it. */
  #close(): void {
    if (this.#closed) return
    this.#closed = true
    engines.delete(this.#key)
    forgetExiting(this)
    this.native.closeEngine()
    this.#dirtyCount = 0
    this.#words[EngineWord.EventsProduced] = 0
  }

  /** The process ends: nothing may wait for the end of the turn any more. */
  exit(): void {
    this.flush()
    for (const ring of this.#rings) ring?.sendAtOnce()
    this.native.handOver()
  }

  /** A start or a stop is under way: the loop works for it even with `manual`. */
  drive(delta: 1 | -1): void {
    const before = this.#driven
    this.#driven += delta
    if (this.#manual && before > 0 !== this.#driven > 0) this.native.setDriven(this.#driven > 0)
  }

  listenerCounters(server: number): Float64Array {
    return new Float64Array(
      this.#coreView.buffer,
      Layout.ServerCountersOffset + server * Layout.ServerCountersBytes,
      Layout.ServerCounters
    )
  }

  /** Events of the server go to `events` from now on, in the async context that is current now. */
  setServer(server: number, events: ServerEvents | undefined): void {
    this.#servers[server] = events
    if (events === undefined) this.native.closeScope(true, server)
    else if (!this.#manual) this.native.openScope(true, server)
  }

  /** Makes sure that a client finds a slot. Throws `ZERIO_OUT_OF_MEMORY`. */
  reserveSlot(): void {
    if (this.native.slotsFree() === 0) this.#growSlabs()
  }

  /** The ring of a slot that begins a life; it ends with `released`. */
  takeSlot(slot: number): SendRing {
    const slab = this.#slabs.find((one) => slot < one.first + one.count) as Slab
    const ring = new SendRing(this, slot, slab)
    this.#rings[slot] = ring
    return ring
  }

  /** Ends a connection at once, unless its slot has begun another life. */
  abort(ring: SendRing): void {
    if (this.#rings[ring.slot] === ring) this.native.abort(ring.slot)
  }

  /** Events of the slot go to `connection` from now on, in the async context that is current now. */
  setConnection(slot: number, connection: Connection): void {
    this.#connections[slot] = connection
    if (!this.#manual) this.native.openScope(false, slot)
  }

  // ---- Sending

  markDirty(ring: SendRing): void {
    this.#addDirty(ring)
    // Outside of handlers the turn ends with its ticks and microtasks.
    if (!this.#dispatching && !this.#tickPending) {
      this.#tickPending = true
      nextTick(this.#flushTick)
    }
  }

  #addDirty(ring: SendRing): void {
    this.#dirty[this.#dirtyCount] = ring
    this.#dirtyWords[this.#dirtyCount] = ring.slot
    this.#words[EngineWord.DirtyCount] = ++this.#dirtyCount
  }

  /** Hands all rings with unsent bytes to the system. Touches each ring once: the sends of many peers push all else out of the cache. */
  flush(): void {
    const count = this.#dirtyCount
    if (count === 0) return
    const dirty = this.#dirty
    let kept = 0
    for (let i = 0; i < count; i++) {
      const ring = dirty[i] as SendRing
      if (ring.publishForFlush()) dirty[kept++] = ring
    }
    this.#nativeFlush()
    this.#dirtyCount = 0
    // Those with an open claim. Their commit is followed by no tick of its own: a claim ends in the turn in which it began, and
    // the handle before the loop sleeps sends what breaks this rule.
    for (let i = 0; i < kept; i++) this.#addDirty(dirty[i] as SendRing)
    this.#words[EngineWord.DirtyCount] = kept
  }

  flushOne(ring: SendRing): void {
    this.#nativeFlushSlot(ring.slot)
  }

  /** At the end of the process: hands over what the ring holds, and waits for room as long as the connection may linger. */
  handOver(ring: SendRing): void {
    this.flushOne(ring)
    if (ring.pendingBytes > 0) this.native.handOver()
  }

  // ---- Receiving

  /** Does I/O and runs handlers on the caller's stack. Returns how many messages were dispatched. */
  poll(): number {
    if (this.#dispatching) {
      throw misuse(
        'ZERIO_POLL_IN_HANDLER',
        'poll cannot be called from a handler of the same engine; return from the handler first.'
      )
    }
    if (this.#dirtyCount > 0) this.flush()
    if (!this.#batchOpen) {
      this.#nativePoll()
      if (this.#words[EngineWord.EventsProduced] === 0) return 0
    }
    this.#dispatched = 0
    this.#dispatch(false)
    return this.#dispatched
  }

  /**
   * Consumes the batch, or with `ofOneOwner` the consecutive events of one connection or server: those the loop delivers in its async
   * context. When a handler throws, the next call goes on with the message behind the one that was thrown for.
   */
  #dispatch(ofOneOwner: boolean): void {
    const words = this.#words
    const events = this.#eventWords
    let next = this.#batchOpen ? this.#next : 0
    let owner = NO_OWNER
    this.#dispatching = true
    this.#batchOpen = true
    try {
      // A verdict adds events to the batch, so the end is looked up each time. It may have been overwritten, too.
      for (;;) {
        const at = next * Layout.EventWords
        if (next >= words[EngineWord.EventsProduced] || at >= events.length) {
          this.#batchOpen = false
          break
        }
        const slot = events[at + 1]
        this.#eventAt = at
        this.#eventSlot = slot
        if (events[at] === EventKind.Run) {
          if (slot !== owner && owner !== NO_OWNER) break
          if (!this.#inRun) {
            this.#inRun = true
            this.#beginRun(events[at + 3], events[at + 4])
          }
          if (ofOneOwner) {
            owner = slot
            this.#dispatchRun()
          } else {
            this.#connections[slot]?.scope.runInAsyncScope(this.#dispatchRun, this)
          }
          this.#inRun = false
          words[EngineWord.EventsConsumed] = ++next
        } else if (events[at] === EventKind.SlabIdle) {
          // No handler is concerned.
          words[EngineWord.EventsConsumed] = ++next
          this.#shrinkSlabs()
        } else {
          const itsOwner = this.#ownerOf(at, slot)
          if (itsOwner !== owner && owner !== NO_OWNER) break
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
      this.#dispatching = false
      this.#next = next
      // A handler of the last event that threw leaves nothing to go on with.
      if (!this.#inRun && next >= words[EngineWord.EventsProduced]) this.#batchOpen = false
      words[EngineWord.EventsConsumed] = this.#batchOpen ? next : ALL_CONSUMED
      this.flush()
      if (this.#users === 0 && !this.#batchOpen) this.#close()
    }
  }

  /** Whose an event is, as Engine::next_event_owner says it: a slot, or -1 - server. */
  #ownerOf(at: number, slot: number): number {
    switch (this.#eventWords[at]) {
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

  #scopeOf(owner: number): AsyncResource | undefined {
    return owner < 0 ? this.#servers[-1 - owner]?.scope : (this.#connections[owner]?.scope ?? this.#outside)
  }

  /** Of a greeting: the number of its server, or -1 for that of a client. */
  #serverOf(at: number): number {
    return (this.#eventWords[at + 6] >> 8) - 1
  }

  #beginRun(offset: number, bytes: number): void {
    // The program can have overwritten the event.
    const inside = offset >= 0 && bytes >= 0 && offset + bytes <= this.#coreBytes
    this.#runAt = inside ? offset : 0
    this.#runEnd = inside ? offset + bytes : 0
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
      // The engine has checked these headers, but the program can have overwritten them since.
      while (at <= last && (connection as Connection).receiving === true) {
        const header = view.getInt32(at, true)
        const start = at + Header.Bytes
        const length = header & Header.LengthMask
        at = start + length
        if (at > end) break
        delivered++
        ;(connection as Connection).deliver(buffer, start, length, header >>> Header.ChannelShift)
      }
      at = end
    } finally {
      this.#runAt = at
      this.#dispatched += delivered
    }
  }

  /** The program can have overwritten any word of an event: it may be ignored then, but lead nowhere. */
  #dispatchEvent(): void {
    const events = this.#eventWords
    const at = this.#eventAt
    const slot = this.#eventSlot
    switch (events[at]) {
      case EventKind.Message: {
        const connection = this.#connections[slot]
        if (!connection?.receiving) return
        const buffer = this.#slabs[events[at + 2]]?.buffer
        const offset = events[at + 3]
        const length = events[at + 4]
        if (buffer === undefined || offset < 0 || length < 0 || offset + length > buffer.length) return
        this.#dispatched++
        connection.deliver(buffer, offset, length, events[at + 5])
        return
      }
      case EventKind.Asked:
      case EventKind.Connected: {
        const buffer = this.#slabs[events[at + 2]]?.buffer
        if (buffer === undefined || slot < 0 || slot >= this.#slotCount) return
        const hello = {
          buffer,
          offset: events[at + 3],
          idLength: events[at + 4],
          credentialLength: events[at + 5],
          classic: (events[at + 6] & 0xff) === PROTOCOL_CLASSIC,
          lengthMax: events[at + 7]
        }
        const server = this.#serverOf(at)
        if (server < 0) this.#connections[slot]?.connected(hello)
        else if (events[at] === EventKind.Asked) this.#servers[server]?.asked(slot, hello)
        else this.#servers[server]?.greeted(this.takeSlot(slot), hello)
        return
      }
      case EventKind.Disconnected:
        this.#connections[slot]?.disconnected(events[at + 5], this.#text(at), events[at + 6])
        return
      case EventKind.Drain: {
        this.#rings[slot]?.drained()
        this.#connections[slot]?.drained()
        return
      }
      case EventKind.Reached:
        this.#connections[slot]?.reached()
        return
      case EventKind.ConnectFailed:
        this.#connections[slot]?.connectFailed(
          new DisconnectReason(events[at + 5], this.#text(at), events[at + 6], false)
        )
        return
      case EventKind.Released: {
        const connection = this.#connections[slot]
        this.#connections[slot] = undefined
        this.native.closeScope(false, slot)
        this.#rings[slot]?.detach()
        this.#rings[slot] = undefined
        try {
          connection?.released()
        } finally {
          if (events[at + 2] >= 0) this.#servers[events[at + 2]]?.slotReleased()
        }
        return
      }
      case EventKind.Refused:
        this.#servers[slot]?.refused(
          new DisconnectReason(events[at + 5], '', events[at + 6], false),
          events[at + 7]
        )
        return
      case EventKind.AcceptError:
        this.#servers[slot]?.acceptFailed(events[at + 6])
        return
      case EventKind.SlotsLow:
        this.#growFor(slot)
        return
    }
  }

  /** The words that came with an ending. */
  #text(at: number): string {
    const words = this.#eventWords
    const length = words[at + 4]
    const buffer = this.#slabs[words[at + 2]]?.buffer
    if (buffer === undefined || length <= 0 || length > REASON_BYTES_MAX) return ''
    return buffer.toString('utf8', words[at + 3], words[at + 3] + length)
  }

  #growFor(server: number): void {
    try {
      this.#growSlabs()
    } catch (error) {
      this.native.slabRefused()
      this.#servers[server]?.poolRefused(error as ZerioError)
    }
  }

  #growSlabs(): void {
    const plan = this.#planSlab()
    const memory = this.#allocator.allocate(plan.bytes)
    if (this.native.addSlab(new Uint8Array(memory), plan) !== 0) {
      throw new ZerioError(
        'ZERIO_OUT_OF_MEMORY',
        `There is no memory for more connections, or the engine has all ${Layout.SlotsMax}; use more threads.`
      )
    }
    this.#listSlab(plan, memory)
  }

  /**
   * Lets go of slabs that were not used for a while, the last ones first, so that slots keep their numbers. Views of their memory that
   * the program still has show zeros.
   */
  #shrinkSlabs(): void {
    while (this.native.removeSlab()) {
      const { first } = this.#slabs.pop() as Slab
      this.#slotCount = this.#connections.length = this.#rings.length = this.#dirty.length = first
      // What was flushed is still in the list, and a ring keeps its slab.
      this.#dirty.fill(undefined, this.#dirtyCount)
    }
  }

  #planSlab(): SlabPlan {
    const { sendRingBytes } = this.options
    const first = this.#slotCount
    const coreBytes = this.#slabs.length === 0 ? this.#coreBytes : 0
    const spareBytes = Layout.SparePerSlab * this.#assemblyBytes + 2 * PAGE_BYTES
    const room = Math.floor(
      (SLAB_BYTES_MAX - coreBytes - spareBytes) / (Layout.SlotBytes + sendRingBytes + this.#assemblyBytes)
    )
    const count = Math.max(1, Math.min(room, Math.max(FIRST_SLAB_SLOTS, first), Layout.SlotsMax - first))
    const slotsOffset = coreBytes
    const ringsOffset = pages(slotsOffset + count * Layout.SlotBytes)
    const assembliesOffset = pages(ringsOffset + count * sendRingBytes)
    const bytes = assembliesOffset + (count + Layout.SparePerSlab) * this.#assemblyBytes
    return { first, count, slotsOffset, ringsOffset, assembliesOffset, bytes }
  }

  /** JavaScript's side of a slab that the engine has taken. */
  #listSlab(plan: SlabPlan, memory: PoolMemory): Slab {
    const { first, count, slotsOffset, ringsOffset } = plan
    const buffer = poolBuffer(memory)
    const slab: Slab = {
      index: this.#slabs.length,
      first,
      count,
      buffer,
      view: buffer.view,
      bytes: new Uint8Array(memory),
      words: new Int32Array(memory),
      slotsOffset,
      ringsOffset
    }
    this.#slabs.push(slab)
    this.#slotCount += count
    // Filled now, so that the lists need not grow while messages flow.
    for (let slot = first; slot < first + count; slot++) {
      this.#connections.push(undefined)
      this.#rings.push(undefined)
      this.#dirty.push(undefined)
    }
    return slab
  }
}
