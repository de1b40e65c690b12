// A trader, an order gateway, and a network between them that goes down again and again. Sessions bring each order to the gateway once
// and each execution to the trader once; no code of this program sends anything again.
//
//     node examples/sessions/orders.mjs [orders]
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { Network } from './network.mjs'

const total = Number(process.argv[2] ?? 100_000)
const OUTAGES = 8
const OUTAGE_MS = 30
/** So many orders may wait for their execution. They fit into a ring, and so do their executions: neither side is ever full for long. */
const IN_FLIGHT_MAX = 1_000

// Both messages: the number of the order, u32, and a price, f64; little-endian.
const MESSAGE_BYTES = 12
const NUMBER = 0
const PRICE = 4

// The gateway executes what comes.

const executed = new Uint8Array(total) // How often each order was.
const server = new ZerioServer(
  { host: '127.0.0.1', port: 0 },
  { sessions: { resumeMsMax: 10_000 }, heartbeatMs: 1_000 }
)
server.onMessage = (peer, buffer, offset) => {
  executed[buffer.view.getUint32(offset + NUMBER, true)]++
  if (peer.send(buffer, offset, MESSAGE_BYTES) !== SendStatus.Sent)
    peer.close(4000, 'too many orders in flight')
}
server.on('clientSuspended', (peerId, reason) => console.log(`gateway: ${peerId} is away: ${reason.code}`))
server.on('clientResumed', (peerId) => console.log(`gateway: ${peerId} is back`))
await server.start('gateway')

const network = new Network(server.listeningPort)
await network.start()

// The trader keeps a thousand orders in flight.

const received = new Uint8Array(total) // How often the execution of each order was.
let sent = 0
let done = 0
const client = new ZerioClient(
  { host: '127.0.0.1', port: network.port },
  { session: { resumeMs: 10_000 }, reconnect: { delayMs: 5, delayMsMax: 20 }, heartbeatMs: 1_000 }
)

function sendOrders() {
  while (sent < total && sent - done < IN_FLIGHT_MAX) {
    const at = client.claim(MESSAGE_BYTES)
    if (at < 0) return // Full: `drain` calls again.
    client.view.setUint32(at + NUMBER, sent, true)
    client.view.setFloat64(at + PRICE, 100 + (sent % 7), true)
    client.commit()
    sent++
  }
}
client.onMessage = (buffer, offset) => {
  const number = buffer.view.getUint32(offset + NUMBER, true)
  assert.equal(number, done, 'executions come in the order of the orders')
  received[number]++
  done++
  sendOrders()
}
client.on('drain', sendOrders)
client.on('disconnected', ({ local, code, unacknowledged }) => {
  // As after a gateway that was started anew: now a program has to ask which orders arrived.
  if (!local) throw new Error(`${code}: ${unacknowledged} orders may not have arrived`)
})
await client.start('trader')
sendOrders()

// Between two outages a part of the orders is executed.

for (let outage = 1; outage <= OUTAGES; outage++) {
  while (done < (total * outage) / (OUTAGES + 1)) await pause(1)
  const resumed = once(client, 'resumed')
  network.down()
  await pause(OUTAGE_MS)
  network.up()
  await resumed
}
while (done < total) await pause(1)
await client.stop()
await server.stop()
network.stop()

const onceEach = (counts) => counts.every((count) => count === 1)
assert.ok(onceEach(executed), 'each order was executed once')
assert.ok(onceEach(received), 'each execution was received once')
console.log(`${OUTAGES} outages, ${total} orders: each executed once, each execution received once`)
