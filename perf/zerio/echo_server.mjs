// The echo side of zerio's ping-pong, with any wait strategy. With --meter it measures what it allocates after the
// warm-up (see lib/meter.mjs).
import { ZerioServer } from 'zerio'
import { Meter } from '../lib/meter.mjs'
import { fail, PING_PONG_FLAGS, readFlags, report } from '../lib/program.mjs'
import { runUntil, Signal } from '../lib/signal.mjs'

const flags = readFlags(PING_PONG_FLAGS)
const total = flags.warmup + flags.count
const meter = flags.meter ? new Meter() : null
const finished = new Signal()
let received = 0

const server = new ZerioServer(
  { host: '127.0.0.1', port: 0 },
  { waitStrategy: flags.strategy, backend: flags.backend, sessions: flags.session }
)
server.onMessage = (peer, buffer, offset, length) => {
  received++
  if (meter !== null && received === flags.warmup) meter.start()
  const status = peer.send(buffer, offset, length)
  if (status !== 0) fail(`echo: send returned ${status}`)
  if (meter !== null && received === total) meter.stop()
}
server.on('clientDisconnected', () => finished.set())
server.on('error', (error) => fail(`echo: ${error.message}`))

await server.start('echo')
report({ port: server.listeningPort })
await runUntil(server, flags.strategy, finished)
await server.stop()
report({ received, ...meter?.result })
