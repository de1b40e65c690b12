// The fixed layouts of the demo's messages: a channel per kind, and the offset of every field (little-endian).

import type { PriceSeries } from './prices.js'

/** The topic of the ticks. */
export const TicksTopic = 'ticks'

export const TickChannel = 1
export const TickBytes = 40
export const TickSequence = 0 // i32
export const TickSymbol = 4 // i32, index into PriceSeries.symbols
export const TickDay = 8 // i32, yyyymmdd
export const TickPrice = 16 // f64
export const TickVolume = 24 // f64
export const TickSentNs = 32 // f64, the server's clock

export const OrderChannel = 2
export const OrderBytes = 32
export const OrderId = 0 // i32
export const OrderTickSequence = 4 // i32, the tick this order answers
export const OrderSide = 8 // i32, 1 buys and -1 sells
export const OrderQuantity = 12 // i32
export const OrderPrice = 16 // f64, must be the price of that tick
export const OrderSentNs = 24 // f64, the client's clock

export const AckChannel = 3
export const AckBytes = 16
export const AckOrderId = 0 // i32
export const AckStatus = 4 // i32
export const AckSentNs = 8 // f64, copied from the order

export const StatusAccepted = 1
export const StatusRejected = 2

/** The last message to a subscriber, so that it can tell whether ticks at the very end were lost. */
export const EndChannel = 4
export const EndBytes = 4
export const EndTickCount = 0 // i32, ticks sent to this subscriber

/** More orders than this are never on their way from one client, so the server can preallocate their acks. */
export const maxOrdersInFlight = 1024

/** The tick with this sequence number. */
export function writeTick(
  view: DataView,
  at: number,
  prices: PriceSeries,
  sequence: number,
  nowNs: Float64Array
): void {
  const row = sequence % prices.length
  view.setInt32(at + TickSequence, sequence, true)
  view.setInt32(at + TickSymbol, prices.symbol[row], true)
  view.setInt32(at + TickDay, prices.day[row], true)
  view.setFloat64(at + TickPrice, prices.price[row], true)
  view.setFloat64(at + TickVolume, prices.volume[row], true)
  view.setFloat64(at + TickSentNs, nowNs[0], true)
}
