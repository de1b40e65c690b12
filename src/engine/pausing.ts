// A connection that the program has paused: the engine stops to read it, and what it had read before is held back here.
import type { AsyncResource } from 'node:async_hooks'
import type { Connection, HeldBack } from './connection.js'
import { deliverAlone } from './frames.js'
import { Header } from './layout.js'
import { type PoolBuffer, poolBuffer } from './pool.js'
import type { SendRing } from './send_ring.js'

/** What a pause asks of the engine. */
export interface PausingEngine {
  /** Stops to read a connection, or goes on with it, unless its slot has begun another life. */
  pause(ring: SendRing, paused: boolean): void
  /** Calls `deliver` of it in a later turn. */
  deliverLater(held: HeldBack): void
}

/** The messages that one run, or one event, has brought. */
interface Held {
  readonly bytes: PoolBuffer
  /** Of the first message that is left of it. */
  number: number
  readonly receivedAt: number
}

/**
 * The engine reads on only when nothing is held any more, so what is held is never more than what it had read when it stopped: of one
 * batch, and of the receives that were under way.
 */
export class Pausing implements HeldBack {
  /** Whether the program wants no messages now. */
  paused = false
  #connection: Connection
  #ring: SendRing
  readonly #engine: PausingEngine
  number = 0
  receivedAt = Number.NaN
  /** Whole frames, and what is to be called between or behind them, the oldest first. */
  readonly #held: (Held | (() => void))[] = []
  /** Where the first frame begins, in the first of them. */
  #at = 0
  #deliversLater = false

  constructor(connection: Connection, ring: SendRing, engine: PausingEngine) {
    this.#connection = connection
    this.#ring = ring
    this.#engine = engine
  }

  get scope(): AsyncResource {
    return this.#connection._scope
  }

  get holds(): boolean {
    return this.#held.length > 0
  }

  pause(): void {
    if (this.paused) return
    this.paused = true
    // Otherwise the engine has not begun to read again.
    if (this.#connection._receiving) this.#read(false)
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.#goOn()
  }

  /** Its session goes on over another connection. */
  moveTo(connection: Connection, ring: SendRing): void {
    this.#connection = connection
    this.#ring = ring
    // What the other side has asked on the old connection, or answered there, it asks and answers again.
    let kept = 0
    for (const held of this.#held) if (typeof held !== 'function') this.#held[kept++] = held
    this.#held.length = kept
    if (this.paused || this.holds) this.#read(false)
  }

  hold(buffer: PoolBuffer, from: number, to: number, number: number, receivedAt: number): void {
    if (this.#connection._over || from >= to) return
    const copy = poolBuffer(new ArrayBuffer(to - from))
    buffer.copy(copy, 0, from, to)
    this.#held.push({ bytes: copy, number, receivedAt })
  }

  deliver(): number {
    this.#deliversLater = false
    try {
      return this.#deliverWhile(() => !this.paused)
    } finally {
      if (!this.paused && !this.#connection._over) this.#goOn()
    }
  }

  deliverAll(): number {
    return this.#deliverWhile(() => true)
  }

  /** Calls this when all that is held now has been delivered, unless the connection is over then. */
  afterHeld(call: () => void): void {
    this.#held.push(call)
  }

  #goOn(): void {
    if (!this.holds) {
      this.#read(true)
    } else if (!this.#deliversLater) {
      this.#deliversLater = true
      this.#engine.deliverLater(this)
    }
  }

  #read(reads: boolean): void {
    this.#connection._receiving = reads
    this.#engine.pause(this.#ring, !reads)
  }

  #deliverWhile(isWanted: () => boolean): number {
    const held = this.#held
    let delivered = 0
    while (held.length > 0 && isWanted() && !this.#connection._over) {
      const [first] = held
      if (typeof first === 'function') {
        held.shift()
        first()
        continue
      }
      const chunk = first.bytes
      const start = this.#at + Header.Bytes
      const header = start <= chunk.length ? chunk.view.getInt32(this.#at, true) : 0
      const end = start + (header & Header.LengthMask)
      // Before the handler, which may throw.
      this.#at = end
      if (end >= chunk.length) {
        held.shift()
        this.#at = 0
      }
      // The program can have overwritten what its handler got.
      if (end > chunk.length) continue
      delivered++
      this.number = first.number++
      this.receivedAt = first.receivedAt
      try {
        deliverAlone(this.#connection, chunk, start, end - start, header >>> Header.ChannelShift)
      } finally {
        this.number = 0
        this.receivedAt = Number.NaN
      }
    }
    return delivered
  }
}

/** Says that the other side has ended, behind what a pause holds back. */
export function sayEndBehind(pausing: Pausing | undefined, sayEnded: () => void): void {
  if (pausing?.holds) pausing.afterHeld(sayEnded)
  else sayEnded()
}

/** Calls this when the program wants what has come, in the order in which it has. */
export function callInOrder(pausing: Pausing | undefined, call: () => void): void {
  if (pausing?.paused || pausing?.holds) pausing.afterHeld(call)
  else call()
}
