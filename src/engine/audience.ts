// The connections that are sent the same frames from one copy. A connection belongs to at most one audience, and only while its ring is
// empty. Whatever else is sent to it makes it leave first, with what it lacks of the frames: so the order is that of the calls. A
// connection that stays costs JavaScript nothing for each message.
import { Header, ShareWord } from './layout.js'
import type { RingAudience } from './ring_engine.js'
import type { SendRing } from './send_ring.js'
import { type BytesCopier, SharedFrames } from './shared_frames.js'

const PLACES_FIRST = 64
/**
 * When more than half of the connections had to leave to be sent something else, so many messages go through the rings: joining and
 * leaving costs more than a ring.
 */
const REST_MESSAGES = 64
/** For as long as it takes. */
export const ALL = 0

/** What an audience needs of the native engine. */
export interface NativeShare extends BytesCopier {
  share(bytes: Uint8Array, slots: Int32Array, sent: Int32Array, left: Int32Array, words: Int32Array): void
}

/** What an audience needs of the engine. */
export interface AudienceEngine {
  readonly native: NativeShare
  /** How many bytes of frames may wait for one connection. */
  readonly sharedBytesMax: number
  /** The audience has unsent frames now. */
  addShared(audience: Audience): void
}

export class Audience implements RingAudience<SendRing> {
  /** How many connections there are. */
  count = 0
  /** Whether the engine has it in its list. */
  isListed = false
  readonly #engine: AudienceEngine
  readonly #onLeft: (token: number) => void
  readonly #frames: SharedFrames
  readonly #words = new Int32Array(ShareWord.Size)
  // By place. `#sent`: how many bytes of the frames the system has taken.
  readonly #rings: (SendRing | undefined)[] = []
  #slots = new Int32Array(PLACES_FIRST)
  #tokens = new Int32Array(PLACES_FIRST)
  #sent = new Int32Array(PLACES_FIRST)
  /** The places that the engine leaves to their rings. */
  #left = new Int32Array(PLACES_FIRST)
  /** How many of them speak the classic protocol, which has no channels. */
  #classicCount = 0
  /** The longest message that all of them take. */
  #lengthMax = Header.LengthMask as number
  readonly #leaving: (SendRing | undefined)[] = []
  /** How many connections have left for another message, since the last frames. */
  #leavers = 0
  #rest = 0
  #isSharing = false

  /**
   * @param onLeft is called with the token of a connection that has left.
   */
  constructor(engine: AudienceEngine, onLeft: (token: number) => void) {
    this.#engine = engine
    this.#onLeft = onLeft
    this.#frames = new SharedFrames(engine.sharedBytesMax, engine.native)
  }

  /** Whether some of its connections lack some of the frames. */
  get isPending(): boolean {
    return this.#words[ShareWord.Unsent] > 0
  }

  /** Whether a message of this length on this channel can be sent from the copy. Makes room when it is full. */
  canTake(length: number, channel: number): boolean {
    if (this.#rest > 0) {
      this.#rest--
      return false
    }
    if (channel !== 0 && this.#classicCount > 0) return false
    if (length > this.#lengthMax) return false
    // As a ring with so much in it is flushed without waiting for the end of the turn.
    if (!this.#frames.hasRoom(length)) this.share(ALL)
    return this.#frames.hasRoom(length)
  }

  /**
   * One more connection, while nothing is pending. `onLeft` gets its token. Returns false for one that is being sent something else, or
   * that takes no message of this length on this channel.
   */
  join(ring: SendRing, token: number, length: number, channel: number): boolean {
    if (!ring.isIdle || length > ring.lengthMax || (channel !== 0 && ring.classic)) return false
    this.#lengthMax = Math.min(this.count === 0 ? Header.LengthMask : this.#lengthMax, ring.lengthMax)
    const place = this.count++
    if (place === this.#slots.length) this.#grow()
    this.#rings[place] = ring
    this.#slots[place] = ring.slot
    this.#tokens[place] = token
    this.#sent[place] = 0
    if (ring.classic) this.#classicCount++
    ring.join(this, place)
    return true
  }

  /** Sends a message to all, for which there is room. The bytes are inside of the array, and are copied before it returns. */
  publish(bytes: Uint8Array, offset: number, length: number, channel: number): void {
    this.#frames.append(bytes, offset, length, channel)
    this.#words[ShareWord.Unsent] = this.count
    if (!this.isListed) this.#engine.addShared(this)
  }

  /** How many bytes of the frames the connection at this place lacks. */
  unsentOf(place: number): number {
    return this.isPending ? this.#frames.size - this.#sent[place] : 0
  }

  /** The ring at this place has left. What its connection lacks is written into it. */
  leave(ring: SendRing, place: number): void {
    const sent = this.#sent[place]
    const lacks = this.unsentOf(place) > 0
    if (ring.classic) this.#classicCount--
    const token = this.#tokens[place]
    const last = --this.count
    const moved = this.#rings[last]
    this.#rings[last] = undefined
    if (place !== last && moved !== undefined) {
      this.#rings[place] = moved
      this.#slots[place] = this.#slots[last]
      this.#tokens[place] = this.#tokens[last]
      this.#sent[place] = this.#sent[last]
      moved.moveTo(place)
    }
    this.#onLeft(token)
    if (!lacks) return
    if (!this.#isSharing) this.#leavers++
    ring.writeFrames(this.#frames.bytes, sent, this.#frames.size, this.#frames.countFrom(sent))
    this.#words[ShareWord.Unsent]--
    this.#finishIfSent()
  }

  /**
   * Sends what the connections lack. Takes no more than `timeUs`, but for {@link ALL}. Returns whether some still lack something. What the system
   * refuses goes into the rings.
   */
  share(timeUs: number): boolean {
    const words = this.#words
    if (words[ShareWord.Unsent] === 0) return false
    words[ShareWord.Bytes] = this.#frames.size
    words[ShareWord.Count] = this.count
    words[ShareWord.TimeUs] = timeUs
    this.#isSharing = true
    this.#engine.native.share(this.#frames.bytes, this.#slots, this.#sent, this.#left, words)
    this.#takeOutLeft(words[ShareWord.Left])
    this.#isSharing = false
    this.#finishIfSent()
    return words[ShareWord.Unsent] > 0
  }

  /** Places change when a ring leaves, so the rings are collected first. */
  #takeOutLeft(count: number): void {
    const leaving = this.#leaving
    for (let i = 0; i < count; i++) leaving[i] = this.#rings[this.#left[i]]
    for (let i = 0; i < count; i++) {
      leaving[i]?.leaveAudience()
      leaving[i] = undefined
    }
  }

  #finishIfSent(): void {
    if (this.#words[ShareWord.Unsent] > 0 || this.#frames.size === 0) return
    this.#sent.fill(0, 0, this.count)
    this.#frames.clear()
    if (this.#leavers > this.count) this.#rest = REST_MESSAGES
    this.#leavers = 0
  }

  #grow(): void {
    const length = 2 * this.#slots.length
    this.#slots = grown(this.#slots, length)
    this.#tokens = grown(this.#tokens, length)
    this.#sent = grown(this.#sent, length)
    this.#left = grown(this.#left, length)
  }
}

function grown(column: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(length)
  longer.set(column)
  return longer
}
