// A terminal that shows the book of one symbol, and its last trade. It draws a few times a second, however fast the market is: while the
// terminal is slow, the topic keeps the newest value of each level for it.
//
//     node examples/market_data/terminal.mjs [port] [name] [symbol] [updates]
import { ZerioClient } from 'zerio'
import {
  bookOf,
  KEY_BYTES,
  LEVEL_PRICE,
  LEVEL_SIZE,
  LEVELS,
  symbols,
  TRADE,
  TRADE_PRICE,
  tradesOf
} from './messages.mjs'

const [port = '48654', name = `terminal-${process.pid}`, symbol = symbols[0], updates = 'Infinity'] =
  process.argv.slice(2)
const DRAW_MS = 250
const { stdout } = process

const client = new ZerioClient({ host: '127.0.0.1', port: Number(port) }, { reconnect: true })
const prices = new Float64Array(2 * LEVELS)
const sizes = new Float64Array(2 * LEVELS)
const lastTrade = new Float64Array([Number.NaN])
let received = 0
let changed = false

client.onMessage = (buffer, offset, _length, channel) => {
  const { view } = buffer
  if (channel === TRADE) lastTrade[0] = view.getFloat64(offset + TRADE_PRICE, true)
  else {
    const key = view.getUint32(offset, true)
    prices[key] = view.getFloat64(offset + KEY_BYTES + LEVEL_PRICE, true)
    sizes[key] = view.getFloat64(offset + KEY_BYTES + LEVEL_SIZE, true)
  }
  changed = true
  if (++received === Number(updates)) client.stop()
}

const cell = (key) => `${prices[key].toFixed(5)} ${String(sizes[key]).padStart(8)}`

function draw() {
  const lines = [`${symbol}   last ${lastTrade[0].toFixed(5)}   ${client.state}   ${received} updates`]
  for (let level = 0; level < LEVELS; level++) lines.push(`${cell(level)}   ${cell(LEVELS + level)}`)
  // The cursor goes up again, so that the next picture covers this one.
  stdout.write(`${lines.join('\n')}\n${stdout.isTTY ? `\x1b[${lines.length}A` : ''}`)
}

const timer = setInterval(() => {
  if (changed && stdout.isTTY) draw()
  changed = false
}, DRAW_MS)
function leave() {
  clearInterval(timer)
  draw()
  if (stdout.isTTY) stdout.write(`\x1b[${LEVELS + 1}B`)
}
client.on('disconnected', (reason) => {
  if (reason.local) leave()
})
client.on('subscribeRefused', (topic, error) => console.error(`${topic}: ${error.message}`))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => client.stop())

await client.start(name)
try {
  await client.subscribe(bookOf(symbol))
  await client.subscribe(tradesOf(symbol))
} catch (error) {
  // Stopped already, after so many updates.
  if (error.code !== 'ZERIO_NOT_CONNECTED') {
    console.error(error.message)
    process.exitCode = 1
    client.stop()
  }
}
