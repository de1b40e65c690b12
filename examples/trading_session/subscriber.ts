// The server's side of one client: which tick is next for it, and the acks it is owed.

import type { Peer, PoolBuffer } from 'zerio'
import { type Meter, Received, Sent } from './meter.js'
import type { PriceSeries } from './prices.js'
import * as wire from './wire.js'

/**
 * Every subscriber has its own place in the replay: a slow one falls behind and catches up, without a tick
 * lost and without holding up the others.
 */
export class Subscriber {
  private next: number
  private tickCount = 0
  private endSent = false
  /** Acks that found the send ring full, oldest first; they leave before any further tick. */
  private readonly owed = new DataView(new ArrayBuffer(wire.maxOrdersInFlight * wire.AckBytes))
  private owedFirst = 0
  private owedCount = 0

  constructor(
    readonly peer: Peer,
    private readonly prices: PriceSeries,
    private readonly meter: Meter,
    private readonly first: number
  ) {
    this.next = first
  }

  /** Sends the ticks up to (not including) sequence number `head`, or as many as there is room for. */
  sendTicks(head: number, nowNs: Float64Array): void {
    this.sendOwed()
    const { peer, prices } = this
    while (this.next !== head && this.owedCount === 0) {
      const at = peer.claim(wire.TickBytes, wire.TickChannel)
      if (at < 0) return
      const row = this.next % prices.length
      const view = peer.view
      view.setInt32(at + wire.TickSequence, this.next, true)
      view.setInt32(at + wire.TickSymbol, prices.symbol[row], true)
      view.setInt32(at + wire.TickDay, prices.day[row], true)
      view.setFloat64(at + wire.TickPrice, prices.price[row], true)
      view.setFloat64(at + wire.TickVolume, prices.volume[row], true)
      view.setFloat64(at + wire.TickSentNs, nowNs[0], true)
      peer.commit()
      this.next = (this.next + 1) | 0
      this.tickCount = (this.tickCount + 1) | 0
      this.meter.counts[Sent] += 1
    }
  }

  acknowledge(buffer: PoolBuffer, offset: number): void {
    this.meter.counts[Received] += 1
    const order = buffer.view
    const status = this.isFair(order, offset) ? wire.StatusAccepted : wire.StatusRejected
    const at = this.owedCount === 0 ? this.peer.claim(wire.AckBytes, wire.AckChannel) : -1
    if (at < 0) {
      this.owe(order, offset, status)
      return
    }
    writeAck(this.peer.view, at, order, offset, status)
    this.peer.commit()
    this.meter.counts[Sent] += 1
  }

  /** Says that no more ticks come. To be called until the subscriber leaves: there may be no room for it yet. */
  sendEnd(): void {
    this.sendOwed()
    if (this.endSent || this.owedCount > 0) return
    const at = this.peer.claim(wire.EndBytes, wire.EndChannel)
    if (at < 0) return
    this.peer.view.setInt32(at + wire.EndTickCount, this.tickCount, true)
    this.peer.commit()
    this.endSent = true
  }

  /** An order must answer a tick that this subscriber was sent, at that tick's price. */
  private isFair(order: DataView, offset: number): boolean {
    const sequence = order.getInt32(offset + wire.OrderTickSequence, true)
    if (sequence < this.first || sequence >= this.next) return false
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
