// A market data feed: every subscriber gets a snapshot first, then each change of a price. One that reads too slowly is cut off.
//
//     node examples/market_data/feed.mjs [port]
import { SendStatus, ZerioServer } from 'zerio'
import { ASK, BID, LIVE, QUOTE_BYTES, SEQUENCE, SNAPSHOT, SYMBOL, symbols } from './messages.mjs'

const UPDATE_MS = 10
const PENDING_BYTES_MAX = 128 * 1024
/** So many looks in a row, one for each update, must find a peer late: a single one can meet a burst. */
const LATE_LOOKS_MAX = 100

const server = new ZerioServer({ host: '127.0.0.1', port: Number(process.argv[2] ?? 48654) })
// One quote for each symbol, in the layout in which they are sent.
const quotes = new Uint8Array(symbols.length * QUOTE_BYTES)
const view = new DataView(quotes.buffer)
let sequence = 0

for (let symbol = 0; symbol < symbols.length; symbol++) {
  view.setUint32(symbol * QUOTE_BYTES + SYMBOL, symbol, true)
  setPrice(symbol, 1 + symbol / 4)
}

function setPrice(symbol, bid) {
  const at = symbol * QUOTE_BYTES
  view.setUint32(at + SEQUENCE, sequence, true)
  view.setFloat64(at + BID, bid, true)
  view.setFloat64(at + ASK, bid + 0.0002, true)
}

server.on('clientConnected', (peerId, peer) => {
  console.log(`${peerId} subscribes`)
  peer.userData = { lateLooks: 0 }
  if (peer.send(quotes, SNAPSHOT) !== SendStatus.Sent) peer.terminate()
})
server.on('clientDisconnected', (peerId, reason) => console.log(`${peerId} left: ${reason}`))

function update() {
  const symbol = Math.floor(Math.random() * symbols.length)
  const at = symbol * QUOTE_BYTES
  sequence = (sequence + 1) >>> 0
  setPrice(symbol, view.getFloat64(at + BID, true) + (Math.random() - 0.5) / 1000)
  // Written once here, copied into the ring of each peer. A peer whose ring is full misses this one.
  server.broadcast(quotes, at, QUOTE_BYTES, LIVE)
  for (const peer of server.peers) {
    const isLate = peer.pendingBytes > PENDING_BYTES_MAX
    peer.userData.lateLooks = isLate ? peer.userData.lateLooks + 1 : 0
    if (peer.userData.lateLooks === LATE_LOOKS_MAX) peer.terminate()
  }
}

await server.start('feed')
console.log(`listening on ${server.listeningPort}`)
const timer = setInterval(update, UPDATE_MS)
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    clearInterval(timer)
    server.stop()
  })
}
