// One engine: native code, its pools, and what JavaScript has to do for them, put together. Its parts have files of their own.
import { EngineCounters } from '../counters.js'
import { ZerioError } from '../errors.js'
import type { LiveOptions, ResolvedEngineOptions, WaitStrategy } from '../options/options.js'
import { type Choice, engineError } from './backend.js'
import type { Connection, HeldBack, ServerEvents } from './connection.js'
import { Dispatch } from './dispatch.js'
import type { DispatchEngine } from './dispatch_engine.js'
import { type Exiting, forgetExiting, rememberExiting } from './exit.js'
import { sendAtOnce } from './exiting_ring.js'
import { inHost, needsPortableLoop } from './host_loop.js'
import { Layout, Setting, Strategy } from './layout.js'
import { type NativeEngine, native } from './native.js'
import type { PausingEngine } from './pausing.js'
import type { MemoryKind } from './pool.js'
import { SendRing } from './send_ring.js'
import { Sending } from './sending.js'
import { Slabs } from './slabs.js'
import { EngineWaker } from './waker.js'

/** What a program may see of the engine behind a server or client. */
export interface EngineInfo {
  /** The system interface that does the I/O: `'epoll'`, `'io_uring'`, `'kqueue'`, `'rio'` or `'winsock'`. */
  readonly backend: string
  /** Why it was chosen. */
  readonly backendReason: string
  /** The option `waitStrategy`. */
  readonly waitStrategy: WaitStrategy
  /** What the engine's memory is made of: `'wasm'`, or `'shared'` where the system refuses WebAssembly memories. */
  readonly memory: MemoryKind
  /** Why it is of this kind. */
  readonly memoryReason: string
  /** Counters over all servers and clients of the engine, without garbage. */
  readonly counters: EngineCounters
  /**
   * How many bytes of physical memory the system has locked for the engine: with the backend `'rio'` 8 KiB for each connection and at
   * most 64 MiB for all, in steps of 256 KiB and 1 MiB; with all others 0. A call into the engine; allocates nothing.
   */
  readonly lockedBytes: number
  /** Lets other threads run a function on the engine's thread; the same object for as long as the engine lives. */
  readonly waker: EngineWaker
}

const strategies: Readonly<Record<WaitStrategy, Strategy>> = {
  blocking: Strategy.Blocking,
  spin: Strategy.Spin,
  hybrid: Strategy.Hybrid,
  adaptive: Strategy.Adaptive,
  manual: Strategy.Manual
}

type LiveOption = keyof LiveOptions

const settings: Readonly<Record<LiveOption, Setting>> = {
  lingerMs: Setting.LingerMs,
  heartbeatMs: Setting.HeartbeatMs,
  idleTimeoutMs: Setting.IdleTimeoutMs,
  noDelay: Setting.NoDelay,
  keepAliveMs: Setting.KeepAliveMs,
  userTimeoutMs: Setting.UserTimeoutMs
}

export class Engine implements EngineInfo, DispatchEngine, PausingEngine, Exiting {
  readonly native: NativeEngine
  readonly backend: string
  readonly backendReason: string
  readonly waitStrategy: WaitStrategy
  readonly counters: EngineCounters
  /** Hands what rings hold to the system. */
  readonly sending: Sending
  /** Delivers events. */
  readonly dispatch: Dispatch
  /** How many uses (`EngineUse`) the engine has; without any it ends. */
  users = 0
  readonly #slabs: Slabs
  readonly #coreMemory: ArrayBufferLike
  readonly #manual: boolean
  readonly #onClosed: () => void
  #references = 0
  #driven = 0
  #closed = false
  #waker: EngineWaker | undefined

  /**
   * Throws `ZERIO_OUT_OF_MEMORY`, or the system's error when it refuses the engine.
   *
   * @param onClosed is called when the engine has ended.
   */
  constructor(options: ResolvedEngineOptions, choice: Choice, onClosed: () => void) {
    this.#onClosed = onClosed
    this.#manual = options.waitStrategy === 'manual'
    this.backendReason = choice.reason
    this.waitStrategy = options.waitStrategy
    const slabs = new Slabs(options)
    // Before there is an engine, which could not be taken back.
    const plan = slabs.plan()
    const memory = slabs.allocate(plan)
    const core = slabs.add(plan, memory)
    this.#slabs = slabs
    this.#coreMemory = memory
    this.sending = new Sending(options, core)
    this.dispatch = new Dispatch(this, slabs, this.sending, core, this.#manual)
    this.native = native.createEngine(
      new Uint8Array(memory),
      plan,
      {
        backend: choice.backend,
        portableLoop: needsPortableLoop(),
        waitStrategy: strategies[options.waitStrategy],
        spinUs: options.spinUs,
        maxMessageLength: options.maxMessageLength,
        sendRingBytes: options.sendRingBytes,
        assemblyBytes: slabs.assemblyBytes,
        receiveArenaBytes: options.receiveArenaBytes,
        arenaOffset: slabs.arenaOffset,
        eventsCapacity: slabs.eventsCapacity,
        ...options.conditions
      },
      inHost(this.dispatch.onBatch),
      inHost(this.dispatch.onRest),
      () => this.sending.flush()
    )
    if (this.native.errno !== 0) throw engineError(this.native.errno, choice.backend)
    this.sending.attach(this.native)
    this.dispatch.attach(this.native.poll)
    this.backend = this.native.backend
    this.counters = new EngineCounters(
      new Float64Array(memory, Layout.EngineCountersOffset, Layout.EngineCounters)
    )
  }

  get memory(): MemoryKind {
    return this.#slabs.memory
  }

  get memoryReason(): string {
    return this.#slabs.memoryReason
  }

  get lockedBytes(): number {
    return this.native.lockedBytes() ?? 0
  }

  get waker(): EngineWaker {
    this.#waker ??= new EngineWaker(this.native)
    return this.#waker
  }

  // ---- Who uses the engine

  /** One more use. `EngineUse` calls this and the next two. */
  retain(referenced: boolean): void {
    if (this.users++ === 0) {
      this.native.setActive(true)
      rememberExiting(this)
    }
    if (referenced) this.reference(1)
  }

  /** One more or one less use that keeps the process alive. */
  reference(delta: 1 | -1): void {
    const before = this.#references
    this.#references += delta
    if (before > 0 !== this.#references > 0) this.native.setReferenced(this.#references > 0)
  }

  release(referenced: boolean): void {
    if (referenced) this.reference(-1)
    // The rest of a batch may have events of connections that ended: its end ends the engine.
    if (--this.users === 0 && !this.sending.dispatching && !this.dispatch.batchOpen) this.close()
  }

  /** It has no users any more: its descriptors and threads go at once, its memory when nothing refers to it. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClosed()
    forgetExiting(this)
    this.native.closeEngine()
    this.#waker?.close()
    this.sending.forget()
    this.dispatch.forget()
  }

  /** The process ends: nothing may wait for the end of the turn any more. */
  exit(): void {
    this.sending.exit()
    for (const ring of this.#slabs.rings) if (ring !== undefined) sendAtOnce(ring)
    this.native.handOver()
  }

  /** A start or a stop is under way: the loop works for it even with `manual`. */
  drive(delta: 1 | -1): void {
    const before = this.#driven
    this.#driven += delta
    if (this.#manual && before > 0 !== this.#driven > 0) this.native.setDriven(this.#driven > 0)
  }

  // ---- Servers and connections

  listenerCounters(server: number): Float64Array {
    return new Float64Array(
      this.#coreMemory,
      Layout.ServerCountersOffset + server * Layout.ServerCountersBytes,
      Layout.ServerCounters
    )
  }

  /** Events of the server go to `events` from now on, in the async context that is current now. */
  setServer(server: number, events: ServerEvents | undefined): void {
    this.dispatch.setServer(server, events)
    if (events === undefined) this.native.closeScope(true, server)
    else if (!this.#manual) this.native.openScope(true, server)
  }

  /** Events of the slot go to `connection` from now on, in the async context that is current now. */
  setConnection(slot: number, connection: Connection): void {
    this.dispatch.setConnection(slot, connection)
    if (!this.#manual) this.native.openScope(false, slot)
  }

  /** Makes sure that a client finds a slot. Throws `ZERIO_OUT_OF_MEMORY`. */
  reserveSlot(): void {
    if (this.native.slotsFree() === 0) this.#grow()
  }

  /** The ring of a slot that begins a life; it ends with {@link freeSlot}. */
  takeSlot(slot: number): SendRing {
    const ring = new SendRing(this.sending, slot, this.#slabs.of(slot))
    this.#slabs.rings[slot] = ring
    return ring
  }

  freeSlot(slot: number): void {
    const { rings } = this.#slabs
    this.native.closeScope(false, slot)
    rings[slot]?.detach()
    rings[slot] = undefined
  }

  /** The session of a connection goes on in another slot. */
  moveConnection(old: SendRing, ring: SendRing, connection: Connection): void {
    ring.takeOver(old, this.native.adopt)
    this.dispatch.setConnection(old.slot, undefined)
    connection._scope.runInAsyncScope(() => this.setConnection(ring.slot, connection))
    this.native.abort(old.slot)
  }

  /** Sends the end of the stream behind what was accepted, unless the slot has begun another life. */
  end(ring: SendRing): void {
    if (this.#slabs.rings[ring.slot] === ring) this.native.end(ring.slot)
  }

  /** Ends a connection at once, unless its slot has begun another life. */
  abort(ring: SendRing): void {
    if (this.#slabs.rings[ring.slot] === ring) this.native.abort(ring.slot)
  }

  pause(ring: SendRing, paused: boolean): void {
    if (this.#slabs.rings[ring.slot] === ring) this.native.pause(ring.slot, paused)
  }

  deliverLater(held: HeldBack): void {
    this.dispatch.deliverLater(held)
  }

  /** Changes options of a connection, unless its slot has begun another life. */
  configure(ring: SendRing, options: LiveOptions): void {
    if (this.#slabs.rings[ring.slot] !== ring) return
    for (const name of Object.keys(options) as LiveOption[])
      this.native.configure(ring.slot, settings[name], Number(options[name]))
  }

  /** Adds to a status what the system knows of this connection, unless its slot has begun another life. */
  readTcpStatus(ring: SendRing, target: Float64Array): void {
    if (this.#slabs.rings[ring.slot] === ring) this.native.readTcpStatus(ring.slot, target)
  }

  // ---- Pools

  growFor(server: ServerEvents | undefined): void {
    try {
      this.#grow()
    } catch (error) {
      this.native.slabRefused()
      server?.poolRefused(error as ZerioError)
    }
  }

  #grow(): void {
    const slabs = this.#slabs
    const plan = slabs.plan()
    const memory = slabs.allocate(plan)
    if (this.native.addSlab(new Uint8Array(memory), plan) !== 0) {
      throw new ZerioError(
        'ZERIO_OUT_OF_MEMORY',
        `There is no memory for more connections, or the engine has all ${Layout.SlotsMax}; use more threads.`
      )
    }
    slabs.add(plan, memory)
    this.#resize()
  }

  /** Lets go of slabs that were not used for a while, the last ones first, so that slots keep their numbers. */
  shrink(): void {
    while (this.native.removeSlab()) {
      this.#slabs.removeLast()
      this.#resize()
    }
  }

  #resize(): void {
    this.dispatch.resize(this.#slabs.slotCount)
    this.sending.resize(this.#slabs.slotCount)
  }
}
