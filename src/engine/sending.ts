// Which send rings have unsent bytes, and when these are handed to the system.
import { setTimeout } from 'node:timers'
import type { ResolvedEngineOptions } from '../options/options.js'
import { needsPortableLoop } from './host_loop.js'
import { EngineWord, Layout } from './layout.js'
import type { NativeEngine } from './native.js'
import type { Slab } from './pool.js'
import type { RingEngine } from './ring_engine.js'
import type { SendRing } from './send_ring.js'
import { resize } from './slabs.js'

// Taken once: test runners replace it while they fake the time.
const { nextTick } = process

/** How long a claim that is committed in a later turn may wait where no handle of libuv looks before the loop sleeps. */
const KEPT_MS = 1

function nothing(): void {}

export class Sending implements RingEngine<SendRing> {
  /** Whether handlers run: what they send is flushed behind them, and needs no tick. The dispatch sets it. */
  dispatching = false
  /** How many rings have unsent bytes. */
  dirtyCount = 0
  /** The native half, which is made after this one: see {@link attach}. */
  native!: NativeEngine
  readonly #words: Int32Array
  readonly #dirtyWords: Int32Array
  readonly #dirty: (SendRing | undefined)[] = []
  #tickPending = false
  // An object with as many functions as `native` is a dictionary to V8: a look-up by name for each call.
  #nativeFlush: () => void = nothing
  #nativeFlushSlot: (slot: number) => void = nothing
  readonly #flushTick = (): void => {
    this.#tickPending = false
    this.flush()
  }

  readonly #looksBeforeSleep = !needsPortableLoop()
  #timerPending = false
  readonly #flushKept = (): void => {
    this.#timerPending = false
    this.flush()
  }

  constructor(
    readonly options: ResolvedEngineOptions,
    core: Slab
  ) {
    this.#words = core.words
    this.#dirtyWords = new Int32Array(core.words.buffer, Layout.DirtyOffset, Layout.SlotsMax)
    this.resize(core.count)
  }

  attach(native: NativeEngine): void {
    this.native = native
    this.#nativeFlush = native.flush
    this.#nativeFlushSlot = native.flushSlot
  }

  resize(slotCount: number): void {
    resize(this.#dirty, slotCount)
    // What was flushed is still in the list, and a ring keeps its slab.
    this.#dirty.fill(undefined, this.dirtyCount)
  }

  /** Nothing is to be flushed any more: the engine is closed. */
  forget(): void {
    this.dirtyCount = 0
  }

  markDirty(ring: SendRing): void {
    this.#addDirty(ring)
    // Outside of handlers the turn ends with its ticks and microtasks.
    if (!this.dispatching && !this.#tickPending) {
      this.#tickPending = true
      nextTick(this.#flushTick)
    }
  }

  #addDirty(ring: SendRing): void {
    this.#dirty[this.dirtyCount] = ring
    this.#dirtyWords[this.dirtyCount] = ring.slot
    this.#words[EngineWord.DirtyCount] = ++this.dirtyCount
  }

  /** Hands all rings with unsent bytes to the system. Touches each ring once: the sends of many peers push all else out of the cache. */
  flush(): void {
    const count = this.dirtyCount
    if (count === 0) return
    const dirty = this.#dirty
    let kept = 0
    for (let i = 0; i < count; i++) {
      const ring = dirty[i] as SendRing
      if (ring.publishForFlush()) dirty[kept++] = ring
    }
    this.#nativeFlush()
    this.dirtyCount = 0
    // Those with an open claim. Their commit is followed by no tick of its own: a claim ends in the turn in which it began, and
    // the handle before the loop sleeps sends what breaks this rule.
    for (let i = 0; i < kept; i++) this.#addDirty(dirty[i] as SendRing)
    this.#words[EngineWord.DirtyCount] = kept
    if (kept > 0 && !this.#looksBeforeSleep && !this.#timerPending) {
      this.#timerPending = true
      setTimeout(this.#flushKept, KEPT_MS).unref()
    }
  }

  flushOne(ring: SendRing): void {
    this.#nativeFlushSlot(ring.slot)
  }

  /** At the end of the process: hands over what the ring holds, and waits for room as long as the connection may linger. */
  handOver(ring: SendRing): void {
    this.native.handOverSlot(ring.slot)
  }
}
