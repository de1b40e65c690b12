// What a client does with its messages: checks the ticks, sends orders, takes the time of their acks.

import { type PoolBuffer, readClock, type ZerioClient } from 'zerio'
import type { Integrity } from './ipc.js'
import { type Meter, Received, Sent } from './meter.js'
import { Pacer } from './pacer.js'
import * as wire from './wire.js'

const maxRoundTripNs = 2 ** 31 - 1

export class Trader {
  hasEnded = false
  private readonly pacer: Pacer
  private readonly price = new Float64Array(1)
  private readonly nowNs = new Float64Array(1)
  private sequence = -1
  private ticks = 0
  private ticksExpected = 0
  private ticksOutOfOrder = 0
  private orders = 0
  private ordersAcknowledged = 0
  private ordersRejected = 0
  private ordering = true

  constructor(
    private readonly client: ZerioClient,
    private readonly meter: Meter,
    ordersPerSecond: number
  ) {
    this.pacer = new Pacer(ordersPerSecond)
  }

  get ordersInFlight(): number {
    return this.orders - this.ordersAcknowledged
  }

  stopOrders(): void {
    this.ordering = false
  }

  receive(buffer: PoolBuffer, offset: number, channel: number): void {
    this.meter.counts[Received] += 1
    const view = buffer.view
    if (channel === wire.TickChannel) this.takeTick(view, offset)
    else if (channel === wire.AckChannel) this.takeAck(view, offset)
    else if (channel === wire.EndChannel) this.takeEnd(view, offset)
  }

  integrity(): Integrity {
    return {
      ticks: this.ticks,
      ticksLost: this.ticksExpected - this.ticks,
      ticksOutOfOrder: this.ticksOutOfOrder,
      orders: this.orders,
      ordersUnacknowledged: this.ordersInFlight,
      ordersRejected: this.ordersRejected
    }
  }

  private takeTick(tick: DataView, offset: number): void {
    const sequence = tick.getInt32(offset + wire.TickSequence, true)
    if (this.ticks > 0 && sequence !== this.sequence + 1) this.ticksOutOfOrder++
    this.sequence = sequence
    this.price[0] = tick.getFloat64(offset + wire.TickPrice, true)
    this.ticks = (this.ticks + 1) | 0
    if (this.ordering) {
      // The tick brings the server's time along, which is the same clock: no need to read it for every tick.
      this.pacer.nowNs[0] = tick.getFloat64(offset + wire.TickSentNs, true)
      if (this.pacer.due() > 0) this.sendOrders()
    }
  }

  private sendOrders(): void {
    for (let due = this.pacer.due(); due > 0 && this.ordersInFlight < wire.maxOrdersInFlight; due--) {
      const at = this.client.claim(wire.OrderBytes, wire.OrderChannel)
      if (at < 0) return
      readClock(this.nowNs, 0)
      const view = this.client.view
      view.setInt32(at + wire.OrderId, this.orders, true)
      view.setInt32(at + wire.OrderTickSequence, this.sequence, true)
      view.setInt32(at + wire.OrderSide, (this.orders & 1) === 0 ? 1 : -1, true)
      view.setInt32(at + wire.OrderQuantity, 100, true)
      view.setFloat64(at + wire.OrderPrice, this.price[0], true)
      view.setFloat64(at + wire.OrderSentNs, this.nowNs[0], true)
      this.client.commit()
      this.pacer.take(1)
      this.orders = (this.orders + 1) | 0
      this.meter.counts[Sent] += 1
    }
  }

  private takeAck(ack: DataView, offset: number): void {
    // The acks of one connection come in the order of its orders.
    const isExpected = ack.getInt32(offset + wire.AckOrderId, true) === this.ordersAcknowledged
    const isAccepted = ack.getInt32(offset + wire.AckStatus, true) === wire.StatusAccepted
    if (!isExpected || !isAccepted) this.ordersRejected++
    this.ordersAcknowledged = (this.ordersAcknowledged + 1) | 0
    readClock(this.nowNs, 0)
    const elapsedNs = this.nowNs[0] - ack.getFloat64(offset + wire.AckSentNs, true)
    this.meter.roundTrips.record(Math.min(elapsedNs, maxRoundTripNs) | 0)
  }

  private takeEnd(end: DataView, offset: number): void {
    this.ticksExpected = end.getInt32(offset + wire.EndTickCount, true)
    this.hasEnded = true
  }
}
