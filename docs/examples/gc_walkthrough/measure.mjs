// Prints what one handler of handlers.mjs allocates for messages that come over a real connection, as JSON.
// Run it as: node docs/examples/gc_walkthrough/measure.mjs <handler> <messages>
import { ZerioClient, ZerioServer } from 'zerio'
import { GcProbe } from 'zerio/gc'
import { handlers } from './handlers.mjs'
import { encodeTrade } from './wire.mjs'

const make = handlers.find(({ name }) => name === process.argv[2])
const messages = Number(process.argv[3])
if (make === undefined || !Number.isInteger(messages) || messages < 1) {
  console.error(`usage: measure.mjs <${handlers.map(({ name }) => name).join('|')}> <messages>`)
  process.exit(2)
}
const warmupMessages = 50_000
const batch = 64

const { onMessage, sums } = make()
const probe = new GcProbe()
let count = 0

// Both ends in this thread: one engine, one heap, one probe. The engine and the sending make no garbage: what is found is the
// handler's.
const options = { waitStrategy: 'manual' }
const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
server.onMessage = (peer, buffer, offset, length) => {
  onMessage(peer, buffer, offset, length)
  probe.operation()
  count++
}
await server.start('walkthrough')
const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
await client.start('trades')

const message = encodeTrade(make.name === 'parseJson')
function exchange(until) {
  for (let sent = count; sent < until; ) {
    for (const end = Math.min(until, sent + batch); sent < end; sent++) client.send(message)
    while (count < sent) client.poll()
  }
}

exchange(warmupMessages)
probe.start()
exchange(warmupMessages + messages)
const report = probe.stop()
await client.stop()
await server.stop()

const [volume, value] = sums()
if (volume !== count * 100 || value !== count * 146_925) throw new Error(`${make.name} sums up wrongly`)
console.log(JSON.stringify(report))
