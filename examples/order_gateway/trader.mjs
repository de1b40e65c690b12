// A trader: sends orders, measures how long each acknowledgement takes, connects again when the connection breaks, and sends again what
// was not acknowledged.
//
//     node examples/order_gateway/trader.mjs [port] [name] [orders]
import { setTimeout as pause } from 'node:timers/promises'
import { readClock, ZerioClient } from 'zerio'
import * as message from './messages.mjs'

const [port = '48654', name = 'trader', wanted = '10000'] = process.argv.slice(2)
const total = Number(wanted)
const RETRY_MS = 50
const RETRIES_MAX = 200

const client = new ZerioClient(
  { host: '127.0.0.1', port: Number(port) },
  { credential: 'open sesame', heartbeatMs: 1_000 }
)
const counts = new Uint32Array(message.statuses.length)
const tripsUs = new Float64Array(total)
const clock = new Float64Array(1)
let acknowledged = 0
let sent = 0

/** An order can be made again from its number alone; another program would keep those in flight. */
function writeOrder(view, at, id) {
  readClock(clock, 0)
  view.setUint32(at + message.ORDER_ID, id, true)
  view.setInt32(at + message.ORDER_QUANTITY, id % 100 === 0 ? 0 : (id % 50) + 1, true)
  view.setFloat64(at + message.ORDER_PRICE, 100 + (id % 7), true)
  view.setFloat64(at + message.ORDER_SENT_NS, clock[0], true)
}

function sendOrders() {
  while (sent < total && sent - acknowledged < message.IN_FLIGHT_MAX) {
    const at = client.claim(message.ORDER_BYTES, message.ORDER)
    if (at < 0) return // Full: `drain` calls again. Closed: `disconnected` does.
    writeOrder(client.view, at, ++sent)
    client.commit()
  }
}

client.onMessage = (buffer, offset, _length, channel) => {
  if (channel !== message.ACK) return
  readClock(clock, 0)
  const { view } = buffer
  tripsUs[acknowledged] = (clock[0] - view.getFloat64(offset + message.ACK_SENT_NS, true)) / 1000
  counts[view.getUint32(offset + message.ACK_STATUS, true)]++
  // Acknowledgements come in the order of the orders.
  acknowledged = view.getUint32(offset + message.ACK_ID, true)
  if (acknowledged === total) finish()
  else sendOrders()
}
client.on('drain', sendOrders)
client.on('disconnected', (reason) => {
  if (acknowledged === total) return
  console.log(`disconnected after ${acknowledged} acknowledgements: ${reason}`)
  connect()
})

async function connect() {
  for (let retry = 0; ; retry++) {
    try {
      await client.start(name)
      break
    } catch (error) {
      if (retry === RETRIES_MAX || error.code === 'ZERIO_UNAUTHORIZED') throw error
      await pause(RETRY_MS)
    }
  }
  sent = acknowledged
  sendOrders()
}

async function finish() {
  await client.stop()
  tripsUs.sort()
  console.log(message.statuses.map((status, i) => `${counts[i]} ${status}`).join(', '))
  console.log(
    `p50 ${tripsUs[Math.floor(total / 2)].toFixed(1)} us, p99 ${tripsUs[Math.floor(total * 0.99)].toFixed(1)} us`
  )
}

await connect()
