// The server's side of one client: which tick is next for it, and the acks it is owed.

import type { Peer, PoolBuffer } from 'zerio'
import type { Feed } from './feed.js'
import { type Meter, Received, Sent } from './meter.js'
import type { PriceSeries } from './prices.js'
import * as wire from './wire.js'

/** Ticks that are late say so little that no order answers them. */
const noTime = new Float64Array(1)

/**
 * A subscriber that keeps up is a member of the feed's topic. A slow one leaves it, and has its own place in the
 * replay: it catches up, without a tick lost and without holding up the others, and joins again.
 */
export class Subscriber {
  private next = 0
  private first = 0
  private begun = false
  private endSent = false
  /** Acks that found the send ring full, oldest first; they leave before any further tick. */
  private readonly owed = new DataView(new ArrayBuffer(wire.maxOrdersInFlight * wire.AckBytes))
  private owedFirst = 0
  private owedCount = 0

  constructor(
    readonly peer: Peer,
    private readonly prices: PriceSeries,
    private readonly meter: Meter,
    private readonly feed: Feed
  ) {}

  /** The client has asked for the ticks, and is a member of the topic from now on. */
  begin(): void {
    this.first = this.feed.next
    this.begun = true
  }

  /** The sequence number of its next tick. */
  private get place(): number {
    return this.feed.has(this) ? this.feed.next : this.next
  }

  fallBehind(): void {
    this.next = this.place
    this.feed.leave(this)
  }

  /** Sends the ticks that one who fell behind lacks, or as many as there is room for. */
  catchUp(nowNs: Float64Array): void {
    if (!this.begun || this.feed.has(this)) return
    this.sendOwed()
    const { peer, prices, feed } = this
    while (this.next !== feed.next && this.owedCount === 0) {
      const at = peer.claim(wire.TickBytes, wire.TickChannel)
      if (at < 0) return
      wire.writeTick(peer.view, at, prices, this.next, nowNs)
      peer.commit()
      this.next = (this.next + 1) | 0
      this.meter.counts[Sent] += 1
    }
    if (this.owedCount === 0) feed.join(this)
  }

  acknowledge(buffer: PoolBuffer, offset: number): void {
    this.meter.counts[Received] += 1
    const order = buffer.view
    const status = this.isFair(order, offset) ? wire.StatusAccepted : wire.StatusRejected
    const at = this.owedCount === 0 ? this.peer.claim(wire.AckBytes, wire.AckChannel) : -1
    if (at < 0) {
      this.fallBehind()
      this.owe(order, offset, status)
      return
    }
    writeAck(this.peer.view, at, order, offset, status)
    this.peer.commit()
    this.meter.counts[Sent] += 1
  }

  /** Says that no more ticks come. To be called until the subscriber leaves: there may be no room for it yet. */
  sendEnd(): void {
    this.catchUp(noTime)
    if (this.endSent || this.owedCount > 0 || this.place !== this.feed.next) return
    const at = this.peer.claim(wire.EndBytes, wire.EndChannel)
    if (at < 0) return
    this.peer.view.setInt32(at + wire.EndTickCount, this.place - this.first, true)
    this.peer.commit()
    this.endSent = true
  }

  /** An order must answer a tick that this subscriber was sent, at that tick's price. */
  private isFair(order: DataView, offset: number): boolean {
    const sequence = order.getInt32(offset + wire.OrderTickSequence, true)
    if (sequence < this.first || sequence >= this.place) return false
    return (
      order.getFloat64(offset + wire.OrderPrice, true) === this.prices.price[sequence % this.prices.length]
    )
  }

  private owe(order: DataView, offset: number, status: number): void {
    if (this.owedCount === wire.maxOrdersInFlight) {
      throw new Error(`${this.peer.id} has more than ${wire.maxOrdersInFlight} orders in flight`)
    }
    const slot = (this.owedFirst + this.owedCount) % wire.maxOrdersInFlight
    writeAck(this.owed, slot * wire.AckBytes, order, offset, status)
    this.owedCount++
  }

  private sendOwed(): void {
    while (this.owedCount > 0) {
      const at = this.peer.claim(wire.AckBytes, wire.AckChannel)
      if (at < 0) return
      copyAck(this.peer.view, at, this.owed, this.owedFirst * wire.AckBytes)
      this.peer.commit()
      this.owedFirst = (this.owedFirst + 1) % wire.maxOrdersInFlight
      this.owedCount--
      this.meter.counts[Sent] += 1
    }
  }
}

/** The timestamp is copied as two integers: it is only the client's to read. */
function writeAck(to: DataView, at: number, order: DataView, offset: number, status: number): void {
  to.setInt32(at + wire.AckOrderId, order.getInt32(offset + wire.OrderId, true), true)
  to.setInt32(at + wire.AckStatus, status, true)
  to.setInt32(at + wire.AckSentNs, order.getInt32(offset + wire.OrderSentNs, true), true)
  to.setInt32(at + wire.AckSentNs + 4, order.getInt32(offset + wire.OrderSentNs + 4, true), true)
}

function copyAck(to: DataView, at: number, from: DataView, offset: number): void {
  for (let i = 0; i < wire.AckBytes; i += 4) to.setInt32(at + i, from.getInt32(offset + i, true), true)
}
