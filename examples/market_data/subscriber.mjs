// A subscriber of the feed: keeps the newest quote of each symbol without garbage, and notices what it missed.
//
//     node examples/market_data/subscriber.mjs [port] [name] [quotes]
import { ZerioClient } from 'zerio'
import { ASK, BID, LIVE, QUOTE_BYTES, SEQUENCE, SNAPSHOT, SYMBOL, symbols } from './messages.mjs'

const [port = '48654', name = `subscriber-${process.pid}`, wanted = '100'] = process.argv.slice(2)
const client = new ZerioClient({ host: '127.0.0.1', port: Number(port) })
// Typed arrays: a price in a variable or in an object would be a box for each update.
const bids = new Float64Array(symbols.length)
const asks = new Float64Array(symbols.length)
let received = 0
let missed = 0
let next = -1

function takeQuote(view, at) {
  const symbol = view.getUint32(at + SYMBOL, true)
  bids[symbol] = view.getFloat64(at + BID, true)
  asks[symbol] = view.getFloat64(at + ASK, true)
}

client.onMessage = (buffer, offset, length, channel) => {
  if (channel === SNAPSHOT) {
    for (let at = 0; at < length; at += QUOTE_BYTES) takeQuote(buffer.view, offset + at)
  } else if (channel === LIVE) {
    takeQuote(buffer.view, offset)
    const sequence = buffer.view.getUint32(offset + SEQUENCE, true)
    if (next >= 0) missed += (sequence - next) >>> 0
    next = (sequence + 1) >>> 0
    if (++received === Number(wanted)) client.stop()
  }
}
client.on('disconnected', (reason) => {
  for (let symbol = 0; symbol < symbols.length; symbol++)
    console.log(`${symbols[symbol]} ${bids[symbol].toFixed(5)} ${asks[symbol].toFixed(5)}`)
  console.log(`${received} quotes, ${missed} missed: ${reason}`)
})
await client.start(name)
