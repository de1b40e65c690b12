// An order gateway: checks each order and acknowledges it, in order, once; after a broken connection traders send again what was not.
//
//     node examples/order_gateway/gateway.mjs [port]
import { ZerioServer } from 'zerio'
import * as message from './messages.mjs'

const QUANTITY_MAX = 10_000
const PRICE_MAX = 100_000
const SECRET = 'open sesame' // In clear on the wire: the network must be one that you trust, or a tunnel.

/** What the gateway knows of a trader, also while there is no connection. */
class Trader {
  lastId = 0
  accepted = 0
  rejected = 0
  /** Acknowledgements that found the send ring full, oldest first. As many as there can be orders in flight. */
  owed = new DataView(new ArrayBuffer(message.IN_FLIGHT_MAX * message.ACK_BYTES))
  owedFirst = 0
  owedCount = 0
}
const traders = new Map()

const server = new ZerioServer(
  { host: '127.0.0.1', port: Number(process.argv[2] ?? 48654) },
  // A trader that connects again may come before its old connection is known to be dead.
  {
    duplicateIds: 'replace',
    heartbeatMs: 1_000,
    authenticate: (_peerId, credential) => credential.toString() === SECRET
  }
)

server.on('clientConnected', (peerId, peer) => {
  const trader = traders.get(peerId) ?? new Trader()
  traders.set(peerId, trader)
  trader.owedCount = 0 // The trader sends these orders again.
  peer.userData = trader
  console.log(`${peerId} is here, last order ${trader.lastId}`)
})
server.on('clientDisconnected', (peerId, reason, peer) => {
  const { accepted, rejected } = peer.userData
  console.log(`${peerId} left, ${accepted} accepted, ${rejected} rejected: ${reason}`)
})

server.onMessage = (peer, buffer, offset, length, channel) => {
  if (channel !== message.ORDER || length !== message.ORDER_BYTES) {
    peer.close(4000, 'only orders, please')
    return
  }
  acknowledge(peer, buffer.view, offset, take(peer.userData, buffer.view, offset))
}

function take(trader, view, at) {
  const id = view.getUint32(at + message.ORDER_ID, true)
  if (id <= trader.lastId) return message.KNOWN
  trader.lastId = id
  const quantity = Math.abs(view.getInt32(at + message.ORDER_QUANTITY, true))
  const price = view.getFloat64(at + message.ORDER_PRICE, true)
  const status =
    quantity < 1 || quantity > QUANTITY_MAX
      ? message.BAD_QUANTITY
      : price > 0 && price < PRICE_MAX
        ? message.ACCEPTED
        : message.BAD_PRICE
  if (status === message.ACCEPTED) trader.accepted++
  else trader.rejected++
  return status
}

function acknowledge(peer, order, offset, status) {
  const trader = peer.userData
  const at = trader.owedCount === 0 ? peer.claim(message.ACK_BYTES, message.ACK) : -1
  if (at >= 0) {
    write(peer.view, at, order, offset, status)
    peer.commit()
  } else if (trader.owedCount < message.IN_FLIGHT_MAX) {
    const slot = (trader.owedFirst + trader.owedCount++) % message.IN_FLIGHT_MAX
    write(trader.owed, slot * message.ACK_BYTES, order, offset, status)
  } else {
    peer.close(4001, 'too many orders in flight')
  }
}

function write(view, at, order, offset, status) {
  view.setUint32(at + message.ACK_ID, order.getUint32(offset + message.ORDER_ID, true), true)
  view.setUint32(at + message.ACK_STATUS, status, true)
  view.setFloat64(at + message.ACK_SENT_NS, order.getFloat64(offset + message.ORDER_SENT_NS, true), true)
}

server.on('drain', (peer) => {
  const trader = peer.userData
  while (trader.owedCount > 0) {
    const at = peer.claim(message.ACK_BYTES, message.ACK)
    if (at < 0) return
    const from = trader.owedFirst * message.ACK_BYTES
    for (let i = 0; i < message.ACK_BYTES; i += 4)
      peer.view.setUint32(at + i, trader.owed.getUint32(from + i, true), true)
    peer.commit()
    trader.owedFirst = (trader.owedFirst + 1) % message.IN_FLIGHT_MAX
    trader.owedCount--
  }
})

await server.start('gateway')
console.log(`listening on ${server.listeningPort}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.stop())
