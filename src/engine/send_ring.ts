// JavaScript's half of a send ring: writes frames into the memory that the engine (addon/engine/send_ring.h) sends from. Its two pieces,
// the front and the main part, are explained there.
//
// The straight path is one comparison: `end > limit`. The limit is the smallest of all reasons to look closer: the end of the
// free space, the next automatic flush, the longest message, not being in the dirty list, not being connected, being in an audience.

import { ConnectionCounters } from '../counters.js'
import { checkChannel } from '../options/options.js'
import * as repetition from '../repeated_source.js'
import { type SendStatus, Status } from '../status.js'
import * as copying from './copying.js'
import { LoopBytesMax } from './copying.js'
import { ConnectionCounter, Header, Layout, SlotWord } from './layout.js'
import * as lengths from './message_length.js'
import type { PoolBuffer, Slab } from './pool.js'
import type { RingAudience, RingEngine } from './ring_engine.js'
import { badLength, badPart, badRun, noClaim, openClaim } from './ring_misuse.js'
import * as places from './ring_places.js'

/**
 * Unsent bytes at which a ring is handed to the system without waiting for the end of the turn. A little less than what two packets
 * of a loopback or offloading interface hold (64 KiB each, with headers): a little more costs another, tiny packet each time, and a
 * fifth of the throughput; one packet at a time costs a tenth.
 */
export const FLUSH_BYTES = 122880
const NO_LIMIT_LEFT = -1
const NO_CLAIM = -1
const LOST_CLAIM = -2
/** Several messages are claimed together. */
const RUN_CLAIM = -3

// Constants of this module, which V8 compiles in place; through the other module's object each costs a message 0.5 ns to 10 ns.
const { isCount, messageLength, STRAIGHT_BYTES_MIN } = lengths
const { copyWords, copyUnaligned } = copying
const { repeatedSource } = repetition
const { bytesBetween, locate, MAIN, pendingBytes, placeToBegin, positionIn, writeHeaders } = places

const NO_BYTES = new Uint8Array(0)
const NO_WORDS = new Int32Array(0)
const NO_COUNTERS = new Float64Array(0)
let ringsMade = 0

export class SendRing {
  /** The memory that holds this connection's send ring; `claim` returns an offset in it. */
  readonly buffer: PoolBuffer
  /** The same memory as a DataView, for fields of all widths. */
  readonly view: DataView
  readonly counters: ConnectionCounters
  /** Which life of a slot it is, among all of this thread. */
  readonly number = ++ringsMade
  /** Whether the slot has begun its next life. */
  isDetached = false

  readonly #engine: RingEngine<SendRing>
  readonly #slab: number = 0
  readonly #frontBase: number = 0
  readonly #mainBase: number = 0
  readonly #capacity: number = 0
  // Methods of a Buffer are looked up by name at each call (its prototype is a dictionary to V8), those of a Uint8Array are not.
  readonly #bytes: Uint8Array = NO_BYTES
  readonly #words: Int32Array = NO_WORDS
  readonly #tailWord: number = 0
  /** Behind the tail word: the word that says what the system has taken. */
  #sentWord: SlotWord.Head | SlotWord.Sent = SlotWord.Head
  readonly #counterWords: Float64Array = NO_COUNTERS
  #lengthMax: number = 0
  #classic = false
  /** Where position 0 of the piece with the tail would lie: of the front, or of the main part. */
  #base = 0
  /** Where the bytes of the next message go: an offset in the memory, as the limit. The tail is before its header. */
  #at: number = Header.Bytes
  /** How often the tail has gone from the ring's end to the beginning of the main part. */
  #laps = 0
  #messages = 0
  #limit = NO_LIMIT_LEFT
  /** The header of the message that is claimed, or one of the three above. */
  #claimed = NO_CLAIM
  /** Of the claim of a run. */
  #runMessages = 0
  #runBytes = 0
  #dirty = false
  /** The audience that it is in, and its place there. */
  #audience: RingAudience<SendRing> | undefined
  #audiencePlace = 0
  #status: SendStatus = Status.NotConnected

  constructor(
    engine: RingEngine<SendRing>,
    readonly slot: number,
    slab: Slab
  ) {
    const index = slot - slab.first
    const shared = slab.slotsOffset + index * Layout.SlotBytes
    this.buffer = slab.buffer
    this.view = slab.view
    this.#engine = engine
    this.#slab = slab.index
    this.#capacity = engine.options.sendRingBytes
    this.#frontBase = shared + Layout.SlotFrontOffset
    this.#mainBase = slab.ringsOffset + index * this.#capacity - MAIN
    this.#bytes = slab.bytes
    this.#words = slab.words
    this.#tailWord = shared / 4 + SlotWord.Tail
    this.#counterWords = new Float64Array(
      slab.words.buffer,
      shared + Layout.SlotCountersOffset,
      Layout.SlotCounters
    )
    this.counters = new ConnectionCounters(this.#counterWords, () => this.publish())
    this.#lengthMax = engine.options.maxMessageLength
  }

  get status(): SendStatus {
    return this.#status
  }

  /** Whether the other side speaks the classic protocol. */
  get classic(): boolean {
    return this.#classic
  }

  /** Bytes of frames and of unused gaps that the system has not taken; in a session, that the other side has not acknowledged. */
  get pendingBytes(): number {
    if (this.isDetached) return 0
    // In an audience nothing is in the ring.
    if (this.#audience !== undefined) return this.#audience.unsentOf(this.#audiencePlace)
    return pendingBytes(this.#words, this.#tailWord, this.#head(), this.#tail, this.#capacity)
  }

  /** How long the last answer to a PING took, in microseconds; NaN while there is none. */
  get rttUs(): number {
    const pingUs = this.counters._words[Layout.SlotPingUs]
    return pingUs > 0 ? pingUs : Number.NaN
  }

  open(classic: boolean, remoteLengthMax: number, inSession: boolean): void {
    this.#classic = classic
    this.#sentWord = inSession ? SlotWord.Sent : SlotWord.Head
    this.#lengthMax = Math.min(this.#lengthMax, remoteLengthMax)
    this.#status = Status.Sent
  }

  /** Whether nothing is in it and nothing is being written: then its connection may be sent from a copy. Not in a session. */
  get isIdle(): boolean {
    return (
      !this.#dirty &&
      this.#audience === undefined &&
      this.#claimed === NO_CLAIM &&
      this.#status === Status.Sent &&
      this.#sentWord === SlotWord.Head &&
      this.pendingBytes === 0
    )
  }

  /** The longest message that both sides take. */
  get lengthMax(): number {
    return this.#lengthMax
  }

  /** It is in an audience from now on, at this place. Only while it is idle, or in this audience already. */
  join(audience: RingAudience<SendRing>, place: number): void {
    this.#audience = audience
    this.#audiencePlace = place
    // What is sent to this connection alone makes it leave.
    this.#limit = NO_LIMIT_LEFT
  }

  /** Takes over what its connection lacks of shared frames, before anything else is sent. */
  leaveAudience(): void {
    const audience = this.#audience
    if (audience === undefined) return
    this.#audience = undefined
    audience.leave(this, this.#audiencePlace)
  }

  /** Takes over a part of shared frames: the rest of one, and whole ones. The ring is empty, so there is room. */
  writeFrames(bytes: Uint8Array, from: number, to: number, messages: number): void {
    if (this.#place(to - from)) {
      this.#engine.native.copy(this.#slab, this.#at - Header.Bytes, bytes, from, to - from)
      this.#at += to - from
      this.#messages += messages
    } else {
      // The program has overwritten the words, and the stream is torn. The engine ends a connection with such a tail.
      this.#moveTo(-1)
      this.#status = Status.Closed
    }
    this.#show()
    if (this.#dirty) return
    this.#dirty = true
    this.#engine.markDirty(this)
  }

  /** Shows the engine what was accepted. Not done for each message: the engine looks only when it is called. */
  publish(): void {
    if (this.#audience?.isPending === true) this.leaveAudience()
    this.#show()
  }

  #show(): void {
    this.#words[this.#tailWord] = this.#tail
    this.#counterWords[ConnectionCounter.MessagesSent] += this.#messages
    this.#messages = 0
  }

  /** From now on everything is refused with `Closed`. */
  close(): void {
    if (this.#status === Status.Sent) {
      this.leaveAudience()
      this.#show()
    }
    this.#status = Status.Closed
    this.#limit = NO_LIMIT_LEFT
    if (this.#isOpenClaim) this.#claimed = LOST_CLAIM
  }

  get #isOpenClaim(): boolean {
    return this.#claimed >= 0 || this.#claimed === RUN_CLAIM
  }

  /** The slot gets its next life: nothing of it may be touched any more, so the counters move out. */
  detach(): void {
    this.close()
    this.isDetached = true
    this.counters._freeze()
  }

  /** What the old ring of a session holds moves here. A claim that is open is lost. Nothing moves when the new connection has ended already. */
  takeOver(old: SendRing, adopt: (slot: number, oldSlot: number) => boolean): void {
    const isClaimed = old.#isOpenClaim
    old.close()
    if (isClaimed) this.#claimed = LOST_CLAIM
    if (!adopt(this.slot, old.slot)) return
    this.#laps = old.#laps
    this.#moveTo(old.#tail)
    this.#limit = NO_LIMIT_LEFT
  }

  /** Publishes for a flush of all rings, which follows at once. Returns whether this one stays dirty, because a claim is still open. */
  publishForFlush(): boolean {
    this.#show()
    this.#dirty = this.#isOpenClaim
    this.#limit = NO_LIMIT_LEFT
    return this.#dirty
  }

  /** Hands what was appended to the system now. The ring stays in the list of dirty ones: its next flush finds nothing. */
  flush(): void {
    if (this.#audience?.isPending === true) this.leaveAudience()
    if (!this.#dirty || this.#status !== Status.Sent) return
    this.publish()
    this.#engine.flushOne(this)
  }

  /** Hands over what was appended. Only at the end of the process. */
  handOver(): void {
    this.publish()
    this.#engine.handOver(this)
  }

  drained(): void {
    this.#words[this.#tailWord + SlotWord.DrainNeed] = 0
  }

  sendAll(bytes: Uint8Array, channel: number): SendStatus {
    const words = bytes === repeatedSource.bytes ? repeatedSource.words : undefined
    const length = words === undefined ? messageLength(bytes) : words.length * 4
    if (this.#at + length > this.#limit || channel !== 0 || this.#claimed !== NO_CLAIM) {
      const status = this.#reserve(length, channel)
      if (status !== Status.Sent) return status
      if (length >= STRAIGHT_BYTES_MIN && this.#sendStraight(bytes, 0, length, channel)) return status
    }
    const at = this.#at
    if (words !== undefined && (at & 3) === 0) {
      copyWords(words, 0, this.#words, at >> 2, length >> 2)
    } else {
      if (words === undefined) repeatedSource.notice(bytes)
      if (length > LoopBytesMax.Set) {
        this.#bytes.set(bytes, at)
      } else {
        const target = this.#bytes
        for (let i = 0; i < length; i++) target[at + i] = bytes[i]
      }
    }
    this.#append(length | (channel << Header.ChannelShift), length)
    return Status.Sent
  }

  sendPart(bytes: Uint8Array, offset: number, length: number, channel: number): SendStatus {
    const size = messageLength(bytes)
    if (!isCount(offset) || !isCount(length) || offset + length > size) throw badPart(size, offset, length)
    if (this.#at + length > this.#limit || channel !== 0 || this.#claimed !== NO_CLAIM) {
      const status = this.#reserve(length, channel)
      if (status !== Status.Sent) return status
      if (length >= STRAIGHT_BYTES_MIN && this.#sendStraight(bytes, offset, length, channel)) return status
    }
    const at = this.#at
    if (bytes === this.buffer) {
      // Forwarding what was just received, the usual case: no view to make, no crossing.
      if (((at | offset | length) & 3) === 0 && length <= LoopBytesMax.Words)
        copyWords(this.#words, offset >> 2, this.#words, at >> 2, length >> 2)
      else if (length <= LoopBytesMax.CopyWithin) copyUnaligned(this.view, offset, at, length)
      else this.#bytes.copyWithin(at, offset, offset + length)
    } else if (length <= LoopBytesMax.Native) {
      const target = this.#bytes
      for (let i = 0; i < length; i++) target[at + i] = bytes[offset + i]
    } else {
      this.#engine.native.copy(this.#slab, at, bytes, offset, length)
    }
    this.#append(length | (channel << Header.ChannelShift), length)
    return Status.Sent
  }

  claim(length: number, channel: number): number {
    if (!isCount(length) || this.#at + length > this.#limit || channel !== 0 || this.#claimed !== NO_CLAIM) {
      // As a call in tail position, which leaves what V8 knows of this object to the straight path.
      return this.#claimSlowly(length, channel) | 0
    }
    this.#claimed = length
    return this.#at
  }

  #claimSlowly(length: number, channel: number): number {
    const status = this.#reserve(length, channel)
    if (status !== Status.Sent) return status
    this.#claimed = length | (channel << Header.ChannelShift)
    return this.#at
  }

  claimRun(count: number, length: number, channel: number): number {
    if (!isCount(count) || count === 0) throw badRun(count)
    const status = this.#reserve(length, channel, count)
    if (status !== Status.Sent) return status
    const bytes = (Header.Bytes + length) | 0
    writeHeaders(this.view, this.#at - Header.Bytes, length | (channel << Header.ChannelShift), bytes, count)
    this.#claimed = RUN_CLAIM
    this.#runMessages = count
    this.#runBytes = count * bytes
    return this.#at
  }

  commit(): SendStatus {
    const header = this.#claimed
    if (header < 0) return this.#commitRun()
    this.#claimed = NO_CLAIM
    this.#append(header, header & Header.LengthMask)
    return Status.Sent
  }

  abort(): void {
    if (this.#claimed === NO_CLAIM) throw noClaim('abort')
    this.#claimed = NO_CLAIM
  }

  /** After `#reserve`. Returns false when the message must go through the ring. What the system does not take comes into the ring. */
  #sendStraight(bytes: Uint8Array, offset: number, length: number, channel: number): boolean {
    const { native } = this.#engine
    const header = length | (channel << Header.ChannelShift)
    const taken =
      this.#messages > 0 ? 0 : native.sendStraight(this.slot, this.#tail, header, bytes, offset, length)
    const sent = Math.max(taken - Header.Bytes, 0)
    if (taken === 0) return false
    if (sent === length) this.#messages++
    else {
      native.copy(this.#slab, this.#at + sent, bytes, offset + sent, length - sent)
      this.#append(header, length)
    }
    this.#show()
    return true
  }

  #append(header: number, length: number): void {
    const at = this.#at
    this.view.setInt32(at - Header.Bytes, header, true)
    // `| 0`: all of these are small, and V8 leaves out its checks for overflow.
    this.#at = (at + length + Header.Bytes) | 0
    this.#messages = (this.#messages + 1) | 0
  }

  #commitRun(): SendStatus {
    const claimed = this.#claimed
    if (claimed === NO_CLAIM) throw noClaim('commit')
    this.#claimed = NO_CLAIM
    if (claimed === LOST_CLAIM) return Status.Closed
    this.#at += this.#runBytes
    this.#messages += this.#runMessages
    return Status.Sent
  }

  /** Finds room for so many frames of one length, or says why there is none. */
  #reserve(length: number, channel: number, count = 1): SendStatus {
    if (channel !== 0) checkChannel(channel)
    if (!isCount(length)) throw badLength(length)
    if (this.#isOpenClaim) throw openClaim()
    this.#claimed = NO_CLAIM
    if (this.#status !== Status.Sent) return this.#status
    if (this.#audience !== undefined) this.leaveAudience()
    const need = count * (Header.Bytes + length)
    if (length > this.#lengthMax || need > this.#capacity) return Status.TooLarge
    if (channel !== 0 && this.#classic) return Status.ChannelUnsupported
    // A sender that was refused waits for drain: if it were accepted as soon as the socket has taken a few bytes, each message would
    // cost a system call.
    const waiting =
      this.#words[this.#tailWord + SlotWord.DrainNeed] !== 0 &&
      this.#behind(this.#head()) > this.#capacity / 2
    if (waiting) return this.#refuse(need)
    const unsent = this.#unsentBytes()
    // A run does not make two flushes of one and a little.
    const isEnough = unsent >= FLUSH_BYTES || (count > 1 && unsent > 0 && unsent + need > FLUSH_BYTES)
    if (isEnough || !this.#place(need)) {
      this.publish()
      this.#engine.flushOne(this)
      if (!this.#place(need)) return this.#refuse(need)
    }
    if (!this.#dirty) {
      this.#dirty = true
      this.#engine.markDirty(this)
    }
    return Status.Sent
  }

  #refuse(need: number): Status {
    const drainNeed = this.#tailWord + SlotWord.DrainNeed
    this.#limit = NO_LIMIT_LEFT
    this.#counterWords[ConnectionCounter.BackPressured]++
    if (this.#words[drainNeed] < need) this.#words[drainNeed] = need
    return Status.BackPressured
  }

  #head(): number {
    return positionIn(SlotWord.Head, this.#words, this.#tailWord, this.#capacity)
  }

  #unsentBytes(): number {
    return this.#behind(positionIn(this.#sentWord, this.#words, this.#tailWord, this.#capacity))
  }

  /** As locate of ring_places.ts. */
  locate(places: Int32Array): void {
    locate(places, this.#words, this.#tailWord, this.#head(), this.#tail, this.#laps)
  }

  /** Bytes from a position to the tail. */
  #behind(position: number): number {
    return bytesBetween(position, this.#tail, this.#capacity)
  }

  /** Sets the tail and the limit to a contiguous free part of at least `need` bytes. A ring that is empty always has one. */
  #place(need: number): boolean {
    const words = this.#words
    const head = this.#head()
    const jumpEnd = this.#tailWord + SlotWord.JumpEnd
    let at = this.#tail
    let end = MAIN + this.#capacity
    if (at === head && at > 0) {
      at = placeToBegin(words, this.#tailWord, at, this.#capacity, need)
      words[jumpEnd] = 0
      words[this.#tailWord] = words[this.#tailWord + SlotWord.RewindTo] = at
      words[this.#tailWord + SlotWord.Rewinds]++
    } else if (at < head) {
      // Tail and head must not meet, because that means empty.
      end = head - 1
    } else if (end - at < need && need < head - MAIN) {
      // The end of the ring is left unused, so that no frame wraps. There is room, so the tail will be set.
      words[jumpEnd] = at
      this.#laps++
      at = MAIN
      end = head - 1
    }
    if (at < MAIN) {
      if (MAIN - 1 - at >= need) {
        end = MAIN - 1
      } else {
        // A front that is full to its last byte would look like one that is followed by the main part.
        words[jumpEnd] = at
        at = MAIN
      }
    }
    if (end - at < need) return false
    this.#moveTo(at)
    const untilFlush = Math.max(need, FLUSH_BYTES - this.#unsentBytes())
    this.#limit = this.#base + Math.min(end, at + Math.min(untilFlush, this.#lengthMax + Header.Bytes))
    return true
  }

  /** The position behind the last message. */
  get #tail(): number {
    return this.#at - this.#base - Header.Bytes
  }

  #moveTo(tail: number): void {
    this.#base = tail < MAIN ? this.#frontBase : this.#mainBase
    this.#at = this.#base + tail + Header.Bytes
  }
}
