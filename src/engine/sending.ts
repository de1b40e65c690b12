// What is unsent, and when it is handed to the system: rings with bytes of their own, and audiences that are sent from one copy.
//
// A flush behind handlers, or at the end of a turn, hands over so much that the loop is held up for less than a millisecond, and the
// next turn goes on. What was written since comes first then: whoever is answered does not wait for those that all get the same.
import { setTimeout } from 'node:timers'
import type { ResolvedEngineOptions } from '../options/options.js'
import { ALL, type Audience, type AudienceEngine } from './audience.js'
import { needsPortableLoop } from './host_loop.js'
import { EngineCounter, EngineWord, GoesOn, Layout } from './layout.js'
import type { NativeEngine } from './native.js'
import type { Slab } from './pool.js'
import type { RingEngine } from './ring_engine.js'
import { FLUSH_BYTES, type SendRing } from './send_ring.js'
import { SharedFrames } from './shared_frames.js'
import { resize } from './slabs.js'

// Taken once: test runners replace it while they fake the time.
const { nextTick } = process

/** How long a claim that is committed in a later turn may wait where no handle of libuv looks before the loop sleeps. */
const KEPT_MS = 1
/** A flush goes over so many rings; of a few more it leaves none. A send takes 2 to 6 microseconds. */
const RINGS_AT_ONCE = 128
const RINGS_AT_ONCE_MAX = 256
/** So many rings that wait are taken along however many others are dirty. */
const WAITING_AT_ONCE_MIN = 16
/**
 * A flush sends for so long to one audience, and goes on with the next one until it has come to so many connections. While nothing else
 * happens it is longer, because Node.js allocates some 70 bytes in each turn of its loop.
 */
const SHARE_US = 250
const QUIET_SHARE_US = 1000
const SHARED_AT_ONCE = 64
/** So much memory for shared frames is in use at a time; topics for which there is none use rings. */
const FRAMES_MAX = 16

function nothing(): void {}

export class Sending implements RingEngine<SendRing>, AudienceEngine {
  /** Whether handlers run: what they send is flushed behind them, and needs no tick. The dispatch sets it. */
  dispatching = false
  /** How many rings have unsent bytes. */
  dirtyCount = 0
  /** Whether the next flush has something to send beside these. */
  goesOn = false
  /** How many bytes of shared frames may wait for one connection. The ring that takes them over has room for twice as many. */
  readonly sharedBytesMax: number
  /** The native half, which is made after this one: see {@link attach}. */
  native!: NativeEngine
  readonly #words: Int32Array
  readonly #dirtyWords: Int32Array
  readonly #counters: Float64Array
  /** How many events the engine had reported when the last part of a flush was made. */
  #eventsBefore = 0
  readonly #dirty: (SendRing | undefined)[] = []
  /** Audiences that lack something, the first of which is sent to next. Each has memory for frames, so there are few. */
  readonly #shared: (Audience | undefined)[] = Array.from({ length: FRAMES_MAX }, () => undefined)
  #sharedCount = 0
  /** Memory for shared frames that no audience uses, and how much there is in all. */
  readonly #frames: SharedFrames[] = []
  #framesMade = 0
  /** Dirty rings that a flush has left, from `#waitingFirst` on and round. */
  #waiting: (SendRing | undefined)[] = []
  #waitingFirst = 0
  #waitingCount = 0
  /** Where the program alone calls for events, it says when everything is sent, too. */
  readonly #sendsAll: boolean
  #tickPending = false
  #flushing = false
  #exiting = false
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
    this.#counters = new Float64Array(core.words.buffer, Layout.EngineCountersOffset, Layout.EngineCounters)
    this.#sendsAll = options.waitStrategy === 'manual'
    this.sharedBytesMax = Math.min(FLUSH_BYTES, options.sendRingBytes >> 1)
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
    this.#resizeWaiting(slotCount)
  }

  /** Nothing is to be flushed any more: the engine is closed. */
  forget(): void {
    this.dirtyCount = 0
    this.goesOn = false
    this.#sharedCount = this.#waitingCount = this.#waiting.length = 0
    this.#shared.fill(undefined)
  }

  /** The process ends: everything is handed over, and from now on through the rings alone. */
  exit(): void {
    this.flushAll()
    this.#exiting = true
  }

  /** Itself, when many connections can be sent from one copy. */
  get audienceEngine(): AudienceEngine | undefined {
    return this.native.copiesAtOnce && !this.#exiting ? this : undefined
  }

  markDirty(ring: SendRing): void {
    this.#addDirty(ring)
    this.#flushSoon()
  }

  takeFrames(): SharedFrames | undefined {
    if (this.#frames.length > 0 || this.#framesMade === FRAMES_MAX) return this.#frames.pop()
    try {
      const made = new SharedFrames(this.sharedBytesMax, this.native)
      this.#framesMade++
      return made
    } catch {
      // Without memory for a copy there are still the rings.
      return undefined
    }
  }

  giveFramesBack(frames: SharedFrames): void {
    frames.size = 0
    this.#frames.push(frames)
  }

  addShared(audience: Audience): void {
    audience.isListed = true
    this.#shared[this.#sharedCount++] = audience
    this.#setGoesOn()
    this.#flushSoon()
  }

  #addDirty(ring: SendRing): void {
    this.#dirty[this.dirtyCount] = ring
    this.#dirtyWords[this.dirtyCount] = ring.slot
    this.#words[EngineWord.DirtyCount] = ++this.dirtyCount
  }

  #flushSoon(): void {
    // Outside of handlers the turn ends with its ticks and microtasks.
    if (this.dispatching || this.#tickPending || this.#flushing) return
    this.#tickPending = true
    nextTick(this.#flushTick)
  }

  /** Hands what is unsent to the system. Much of it takes several calls, and the loop makes the next one in its next turn. */
  flush(): void {
    if (this.#sendsAll) {
      this.flushAll()
      return
    }
    const left = RINGS_AT_ONCE - this.dirtyCount
    this.flushRings()
    if (!this.goesOn) {
      // The program may have overwritten it.
      this.#words[EngineWord.GoesOn] = 0
      return
    }
    const events = this.#counters[EngineCounter.Events]
    this.#share(events === this.#eventsBefore ? QUIET_SHARE_US : SHARE_US)
    this.#eventsBefore = events
    this.#takeWaiting(Math.max(left, WAITING_AT_ONCE_MIN))
    this.#flushDirty()
    this.#setGoesOn()
  }

  /** Hands everything that is unsent to the system. */
  flushAll(): void {
    this.#flushDirty()
    if (!this.goesOn) return
    this.#share(ALL)
    this.#takeWaiting(this.#waitingCount)
    this.#flushDirty()
    this.#setGoesOn()
  }

  /** Flushes the dirty rings. Audiences, and rings that an earlier flush has left, wait for the next `flush`. */
  flushRings(): void {
    if (this.dirtyCount > RINGS_AT_ONCE_MAX && !this.#sendsAll) this.#deferRings()
    this.#flushDirty()
  }

  /** Hands the dirty rings to the system. Touches each once: the sends of many connections push all else out of the cache. */
  #flushDirty(): void {
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

  /** Leaves all but the first dirty rings to later flushes, as far as there is room to note them. */
  #deferRings(): void {
    const waiting = this.#waiting
    while (this.dirtyCount > RINGS_AT_ONCE && this.#waitingCount < waiting.length) {
      waiting[(this.#waitingFirst + this.#waitingCount++) % waiting.length] = this.#dirty[--this.dirtyCount]
    }
    this.#words[EngineWord.DirtyCount] = this.dirtyCount
    this.#setGoesOn()
  }

  /** Makes at most so many of the rings that wait dirty again. */
  #takeWaiting(most: number): void {
    for (let left = Math.min(most, this.#waitingCount); left > 0; left--) {
      const ring = this.#takeFirstWaiting()
      // Its slot may have begun another life.
      if (!ring.isDetached) this.#addDirty(ring)
    }
  }

  #takeFirstWaiting(): SendRing {
    const ring = this.#waiting[this.#waitingFirst] as SendRing
    this.#waiting[this.#waitingFirst] = undefined
    this.#waitingFirst = (this.#waitingFirst + 1) % this.#waiting.length
    this.#waitingCount--
    return ring
  }

  /** There is a place for each slot. */
  #resizeWaiting(slotCount: number): void {
    const waiting: (SendRing | undefined)[] = []
    while (this.#waitingCount > 0) {
      const ring = this.#takeFirstWaiting()
      if (!ring.isDetached) waiting.push(ring)
    }
    this.#waitingFirst = 0
    this.#waitingCount = waiting.length
    this.#waiting = waiting
    resize(waiting, slotCount)
  }

  #share(timeUs: number): void {
    this.#flushing = true
    for (
      let most = timeUs === ALL ? Number.MAX_SAFE_INTEGER : SHARED_AT_ONCE;
      this.#sharedCount > 0 && most > 0;
    ) {
      const audience = this.#takeFirstShared()
      most -= audience.count
      audience.isListed = false
      // What is left of it comes behind the others: a program that publishes to this one without end does not keep them waiting.
      if (audience.share(timeUs) && timeUs !== ALL) this.addShared(audience)
    }
    this.#flushing = false
  }

  /** Moves the others up. An array that is shifted gets new memory now and then. */
  #takeFirstShared(): Audience {
    const shared = this.#shared
    const first = shared[0] as Audience
    const last = --this.#sharedCount
    for (let i = 0; i < last; i++) shared[i] = shared[i + 1]
    shared[last] = undefined
    return first
  }

  #setGoesOn(): void {
    const word = (this.#sharedCount > 0 ? GoesOn.Shared : 0) | (this.#waitingCount > 0 ? GoesOn.Rings : 0)
    this.goesOn = word !== 0
    this.#words[EngineWord.GoesOn] = word
  }

  flushOne(ring: SendRing): void {
    this.#nativeFlushSlot(ring.slot)
  }

  /** At the end of the process: hands over what the ring holds, and waits for room as long as the connection may linger. */
  handOver(ring: SendRing): void {
    this.native.handOverSlot(ring.slot)
  }
}
