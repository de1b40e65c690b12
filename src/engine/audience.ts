// The connections that are sent the same frames from one copy. A connection belongs to at most one audience, and only while its ring is
// empty. Whatever else is sent to it makes it leave first, with what it lacks of the frames: so the order is that of the calls. A
// connection that stays costs JavaScript nothing for each message.
import { grown } from './columns.js'
import { Header, ShareWord } from './layout.js'
import type { NativeEngine } from './native.js'
import type { RingAudience } from './ring_engine.js'
import type { SendRing } from './send_ring.js'
import type { SharedFrames } from './shared_frames.js'

/**
 * When more connections had to leave for another message than have stayed, so many messages go through the rings: joining and leaving costs
 * more than a ring.
 */
const REST_MESSAGES = 64
/** For as long as it takes. */
export const ALL = 0

/** What an audience needs of the engine. */
export interface AudienceEngine {
  readonly native: Pick<NativeEngine, 'share'>
  /** How many bytes of frames may wait for one connection. */
  readonly sharedBytesMax: number
  /** Memory for frames, until it is given back; undefined when there is none. */
  takeFrames(): SharedFrames | undefined
  giveFramesBack(frames: SharedFrames): void
  /** The audience has unsent frames now. */
  addShared(audience: Audience): void
}

export class Audience implements RingAudience<SendRing> {
  /** How many connections there are. */
  count = 0
  /** Whether the engine has it in its list. */
  isListed = false
  readonly #engine: AudienceEngine
  readonly #bytesMax: number
  readonly #onLeft: (token: number) => void
  /** Only while something is pending. */
  #frames: SharedFrames | undefined
  readonly #words = new Int32Array(ShareWord.Size)
  // By place. `#sent`: how many bytes of the frames the system has taken.
  readonly #rings: (SendRing | undefined)[] = []
  #slots = new Int32Array(0)
  #tokens = new Int32Array(0)
  #sent = new Int32Array(0)
  /** The places of which the system refused something. */
  #refused = new Int32Array(0)
  readonly #refusedRings: (SendRing | undefined)[] = []
  /** The longest message so far, and whether there was one on a channel: who cannot take these does not join. */
  #lengthLongest = 0
  #usesChannels = false
  /** Whether somebody in it might not take all of these. */
  #lengthMax: number = Header.LengthMask
  #classicCount = 0
  /** How many connections had to leave for another message, since the last frames. */
  #interrupted = 0
  #rest = 0
  #isSharing = false

  /**
   * @param bytesMax how many bytes may wait for one connection; 0 for the engine's own limit.
   * @param onLeft is called with the token of a connection that has left.
   */
  constructor(engine: AudienceEngine, bytesMax: number, onLeft: (token: number) => void) {
    this.#engine = engine
    this.#bytesMax = bytesMax > 0 && bytesMax < engine.sharedBytesMax ? bytesMax : engine.sharedBytesMax
    this.#onLeft = onLeft
  }

  /** Makes room for so many connections. Throws a RangeError when there is no memory. */
  reserve(count: number): void {
    if (count <= this.#refused.length) return
    const length = Math.max(count, 2 * this.#refused.length)
    this.#slots = grown(this.#slots, length)
    this.#tokens = grown(this.#tokens, length)
    this.#sent = grown(this.#sent, length)
    while (this.#rings.length < length) this.#rings.push(undefined)
    while (this.#refusedRings.length < length) this.#refusedRings.push(undefined)
    // The last one, because its length is that of all.
    this.#refused = grown(this.#refused, length)
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
    const bytes = Header.Bytes + length
    if (bytes > this.#bytesMax) return false
    if (length > this.#lengthLongest || (channel !== 0 && !this.#usesChannels)) this.#need(length, channel)
    // As a ring with so much in it is flushed without waiting for the end of the turn.
    if (this.#frames !== undefined && this.#frames.size + bytes > this.#bytesMax) this.share(ALL)
    this.#frames ??= this.#engine.takeFrames()
    return this.#frames !== undefined
  }

  /**
   * One more connection, while nothing is pending. `onLeft` gets its token. Returns false for one that is being sent something else, or that
   * does not take all messages.
   */
  join(ring: SendRing, token: number): boolean {
    const place = this.count
    const takesAll = ring.lengthMax >= this.#lengthLongest && !(this.#usesChannels && ring.classic)
    if (!ring.isIdle || !takesAll || place === this.#refused.length) return false
    this.#lengthMax = Math.min(place === 0 ? Header.LengthMask : this.#lengthMax, ring.lengthMax)
    this.count++
    this.#rings[place] = ring
    this.#slots[place] = ring.slot
    this.#tokens[place] = token
    this.#sent[place] = 0
    if (ring.classic) this.#classicCount++
    ring.join(this, place)
    return true
  }

  /**
   * Sends a message to all, after `canTake` has said that it can. The bytes are inside of the array, and are copied before it returns.
   * Returns how many get it.
   */
  publish(bytes: Uint8Array, offset: number, length: number, channel: number): number {
    if (this.count > 0) {
      this.#frames?.append(bytes, offset, length, channel)
      this.#words[ShareWord.Unsent] = this.count
      if (!this.isListed) this.#engine.addShared(this)
    } else {
      this.#giveFramesBack()
    }
    return this.count
  }

  /** How many bytes of the frames the connection at this place lacks. */
  unsentOf(place: number): number {
    return this.#frames === undefined || !this.isPending ? 0 : this.#frames.size - this.#sent[place]
  }

  /** The ring at this place has left. What its connection lacks is written into it. */
  leave(ring: SendRing, place: number): void {
    const frames = this.#frames
    const sent = this.#sent[place]
    const lacks = this.unsentOf(place) > 0
    if (ring.classic) this.#classicCount--
    const token = this.#tokens[place]
    this.#takeOut(place)
    this.#onLeft(token)
    if (!lacks || frames === undefined) return
    if (!this.#isSharing) this.#interrupted++
    ring.writeFrames(frames.bytes, sent, frames.size, frames.countFrom(sent))
    this.#words[ShareWord.Unsent]--
    this.#finishIfSent()
  }

  /**
   * Sends what the connections lack. Takes no more than `timeUs`, but for {@link ALL}. Returns whether some still lack something. What the
   * system refuses goes into the rings.
   */
  share(timeUs: number): boolean {
    const words = this.#words
    const frames = this.#frames
    if (frames === undefined || words[ShareWord.Unsent] === 0) return false
    words[ShareWord.Bytes] = frames.size
    words[ShareWord.Count] = this.count
    words[ShareWord.TimeUs] = timeUs
    this.#isSharing = true
    this.#engine.native.share(frames.bytes, this.#slots, this.#sent, this.#refused, words)
    this.#leaveRefused(words[ShareWord.Refused])
    this.#isSharing = false
    this.#finishIfSent()
    return words[ShareWord.Unsent] > 0
  }

  /** From now on all must take such messages. Who does not leaves. */
  #need(length: number, channel: number): void {
    this.#lengthLongest = Math.max(this.#lengthLongest, length)
    this.#usesChannels ||= channel !== 0
    const allTakeIt = length <= this.#lengthMax && (channel === 0 || this.#classicCount === 0)
    if (allTakeIt) return
    for (let place = this.count - 1; place >= 0; place--) {
      const ring = this.#rings[place] as SendRing
      if (ring.lengthMax < this.#lengthLongest || (this.#usesChannels && ring.classic)) ring.leaveAudience()
    }
    this.#lengthMax = Math.max(this.#lengthMax, this.#lengthLongest)
  }

  /** The last one gets this place. */
  #takeOut(place: number): void {
    const last = --this.count
    const moved = this.#rings[last]
    this.#rings[last] = undefined
    if (place === last || moved === undefined) return
    this.#rings[place] = moved
    this.#slots[place] = this.#slots[last]
    this.#tokens[place] = this.#tokens[last]
    this.#sent[place] = this.#sent[last]
    moved.join(this, place)
  }

  /** Places change when a ring leaves, so the rings are collected first. */
  #leaveRefused(count: number): void {
    const rings = this.#refusedRings
    for (let i = 0; i < count; i++) rings[i] = this.#rings[this.#refused[i]]
    for (let i = 0; i < count; i++) {
      rings[i]?.leaveAudience()
      rings[i] = undefined
    }
  }

  #finishIfSent(): void {
    if (this.#words[ShareWord.Unsent] > 0) return
    this.#sent.fill(0, 0, this.count)
    this.#giveFramesBack()
    if (this.#interrupted > this.count) this.#rest = REST_MESSAGES
    this.#interrupted = 0
  }

  #giveFramesBack(): void {
    if (this.#frames !== undefined) this.#engine.giveFramesBack(this.#frames)
    this.#frames = undefined
  }
}
