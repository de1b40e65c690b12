// One message handler, six times: each allocates less than the one before. docs/gc.md explains them.
//
// Each sums up the volume and the value of trades, and keeps the age of the oldest one.
import { performance } from 'node:perf_hooks'
import { readClock } from 'zerio'
import { Price, Quantity, SentMs, SentNs } from './wire.mjs'

function parseJson() {
  let volume = 0
  let value = 0
  let oldestMs = 0
  const onMessage = (_peer, buffer, offset, length) => {
    const trade = JSON.parse(buffer.toString('utf8', offset, offset + length))
    volume += trade.quantity
    value += trade.price * trade.quantity
    oldestMs = Math.max(oldestMs, performance.now() - trade.sentMs)
  }
  return { onMessage, sums: () => [volume, value, oldestMs] }
}

function cutSubarray() {
  let volume = 0
  let value = 0
  let oldestMs = 0
  const onMessage = (_peer, buffer, offset, length) => {
    const trade = buffer.subarray(offset, offset + length)
    const quantity = trade.readInt32LE(Quantity)
    volume += quantity
    value += trade.readDoubleLE(Price) * quantity
    oldestMs = Math.max(oldestMs, performance.now() - trade.readDoubleLE(SentMs))
  }
  return { onMessage, sums: () => [volume, value, oldestMs] }
}

function readAtOffset() {
  let volume = 0
  let value = 0
  let oldestMs = 0
  const onMessage = (_peer, buffer, offset) => {
    const quantity = buffer.readInt32LE(offset + Quantity)
    volume += quantity
    value += buffer.readDoubleLE(offset + Price) * quantity
    oldestMs = Math.max(oldestMs, performance.now() - buffer.readDoubleLE(offset + SentMs))
  }
  return { onMessage, sums: () => [volume, value, oldestMs] }
}

function readTheView() {
  let volume = 0
  let value = 0
  let oldestMs = 0
  const onMessage = (_peer, buffer, offset) => {
    const trade = buffer.view
    const quantity = trade.getInt32(offset + Quantity, true)
    volume += quantity
    value += trade.getFloat64(offset + Price, true) * quantity
    oldestMs = Math.max(oldestMs, performance.now() - trade.getFloat64(offset + SentMs, true))
  }
  return { onMessage, sums: () => [volume, value, oldestMs] }
}

function keepDoublesInArray() {
  let volume = 0
  const sums = new Float64Array(2)
  const onMessage = (_peer, buffer, offset) => {
    const trade = buffer.view
    const quantity = trade.getInt32(offset + Quantity, true)
    volume += quantity
    sums[0] += trade.getFloat64(offset + Price, true) * quantity
    sums[1] = Math.max(sums[1], performance.now() - trade.getFloat64(offset + SentMs, true))
  }
  return { onMessage, sums: () => [volume, ...sums] }
}

function readTheClock() {
  let volume = 0
  const sums = new Float64Array(2)
  const nowNs = new Float64Array(1)
  const onMessage = (_peer, buffer, offset) => {
    const trade = buffer.view
    const quantity = trade.getInt32(offset + Quantity, true)
    volume += quantity
    sums[0] += trade.getFloat64(offset + Price, true) * quantity
    readClock(nowNs)
    sums[1] = Math.max(sums[1], nowNs[0] - trade.getFloat64(offset + SentNs, true))
  }
  return { onMessage, sums: () => [volume, sums[0], sums[1] / 1e6] }
}

export const handlers = [parseJson, cutSubarray, readAtOffset, readTheView, keepDoublesInArray, readTheClock]
