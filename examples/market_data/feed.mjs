// A market data feed: for each symbol a topic with the levels of its book, and one with its trades. A subscriber gets the whole book first.
// One that reads too slowly gets the newest levels only, and is closed when it cannot take the trades, because these have no gap.
//
//     node examples/market_data/feed.mjs [port]
import { ZerioServer } from 'zerio'
import {
  bookOf,
  LEVEL_BYTES,
  LEVEL_PRICE,
  LEVEL_SIZE,
  LEVEL_SYMBOL,
  LEVELS,
  symbols,
  TRADE,
  TRADE_BYTES,
  TRADE_PRICE,
  TRADE_SEQUENCE,
  TRADE_SIZE,
  TRADE_SYMBOL,
  tradesOf
} from './messages.mjs'

const UPDATE_MS = 10
const TICK = 0.0001

const server = new ZerioServer({ host: '127.0.0.1', port: Number(process.argv[2] ?? 48654) })
const level = new DataView(new ArrayBuffer(LEVEL_BYTES))
const levelBytes = new Uint8Array(level.buffer)
const markets = symbols.map((symbol, index) => ({
  index,
  middle: new Float64Array([1 + index / 4]),
  sequence: 0,
  book: server.topic(bookOf(symbol), { slow: 'latest', keysMax: 2 * LEVELS, valueBytesMax: LEVEL_BYTES }),
  trades: server.topic(tradesOf(symbol), { slow: 'close', behindMs: 5000 })
}))

server.onSubscribe = (peer, name) => {
  const symbol = name.slice(name.indexOf('.') + 1)
  const allowed = symbols.includes(symbol)
  console.log(`${peer.id} ${allowed ? 'subscribes to' : 'may not have'} ${name}`)
  return allowed
}
server.on('clientDisconnected', (peerId, reason) => console.log(`${peerId} left: ${reason}`))

function setLevel(market, key) {
  const distance = (key % LEVELS) + 0.5
  const side = key < LEVELS ? -1 : 1
  level.setUint32(LEVEL_SYMBOL, market.index, true)
  level.setFloat64(LEVEL_PRICE, market.middle[0] + side * distance * TICK, true)
  level.setFloat64(LEVEL_SIZE, 1000 * Math.ceil(Math.random() * 100), true)
  // Kept once, for all who lag and all who come later; sent now to those who keep up.
  market.book.set(key, levelBytes)
}

function trade(market) {
  const { trades } = market
  // Written once, whatever the number of subscribers.
  const at = trades.claim(TRADE_BYTES, TRADE)
  trades.view.setUint32(at + TRADE_SYMBOL, market.index, true)
  trades.view.setUint32(at + TRADE_SEQUENCE, market.sequence, true)
  trades.view.setFloat64(at + TRADE_PRICE, market.middle[0], true)
  trades.view.setFloat64(at + TRADE_SIZE, 1000, true)
  trades.commit()
  market.sequence = (market.sequence + 1) >>> 0
}

function update() {
  const market = markets[Math.floor(Math.random() * markets.length)]
  if (Math.random() < 0.5) {
    market.middle[0] += (Math.random() < 0.5 ? -1 : 1) * TICK
    for (let key = 0; key < 2 * LEVELS; key++) setLevel(market, key)
    trade(market)
  } else {
    setLevel(market, Math.floor(Math.random() * 2 * LEVELS))
  }
}

for (const market of markets) for (let key = 0; key < 2 * LEVELS; key++) setLevel(market, key)
await server.start('feed')
console.log(`listening on ${server.listeningPort}`)
const timer = setInterval(update, UPDATE_MS)
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    clearInterval(timer)
    server.stop()
  })
}
