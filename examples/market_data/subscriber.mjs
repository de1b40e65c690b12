// A subscriber of all trades: keeps the newest price of each symbol without garbage, and checks that no trade is missing.
//
//     node examples/market_data/subscriber.mjs [port] [name] [trades]
import { ZerioClient } from 'zerio'
import { symbols, TRADE, TRADE_PRICE, TRADE_SEQUENCE, TRADE_SYMBOL, tradesOf } from './messages.mjs'

const [port = '48654', name = `subscriber-${process.pid}`, wanted = '100'] = process.argv.slice(2)
const client = new ZerioClient({ host: '127.0.0.1', port: Number(port) }, { reconnect: true })
// Typed arrays: a price in a variable or in an object would be a box for each trade.
const prices = new Float64Array(symbols.length)
const next = new Float64Array(symbols.length).fill(-1)
let received = 0
let missed = 0

client.onMessage = (buffer, offset, _length, channel) => {
  if (channel !== TRADE) return
  const symbol = buffer.view.getUint32(offset + TRADE_SYMBOL, true)
  const sequence = buffer.view.getUint32(offset + TRADE_SEQUENCE, true)
  prices[symbol] = buffer.view.getFloat64(offset + TRADE_PRICE, true)
  if (next[symbol] >= 0) missed += (sequence - next[symbol]) >>> 0
  next[symbol] = (sequence + 1) >>> 0
  if (++received === Number(wanted)) client.stop()
}
client.on('disconnected', (reason) => {
  for (let symbol = 0; symbol < symbols.length; symbol++)
    console.log(`${symbols[symbol]} ${next[symbol] < 0 ? 'no trade' : prices[symbol].toFixed(5)}`)
  console.log(`${received} trades, ${missed} missed: ${reason}`)
})
await client.start(name)
await Promise.all(symbols.map((symbol) => client.subscribe(tradesOf(symbol))))
