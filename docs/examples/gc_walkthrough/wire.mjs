// The trades of the walkthrough as JSON and as 28 binary bytes: where each field is.
import { performance } from 'node:perf_hooks'
import { readClock } from 'zerio'

export const Price = 0
export const Quantity = 8
export const SentMs = 12
export const SentNs = 20
const bytes = 28

/** One trade, sent now. */
export function encodeTrade(asJson) {
  const price = 1469.25
  const quantity = 100
  const sentMs = performance.now()
  if (asJson) return Buffer.from(JSON.stringify({ price, quantity, sentMs }))
  const trade = Buffer.alloc(bytes)
  const nowNs = new Float64Array(1)
  readClock(nowNs)
  trade.writeDoubleLE(price, Price)
  trade.writeInt32LE(quantity, Quantity)
  trade.writeDoubleLE(sentMs, SentMs)
  trade.writeDoubleLE(nowNs[0], SentNs)
  return trade
}
