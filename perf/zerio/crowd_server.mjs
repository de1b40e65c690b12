// Echoes for a crowd of peers (perf/c/crowd.c) until stdin ends.
import { ZerioServer } from 'zerio'
import { fail, readFlags, report } from '../lib/program.mjs'
import { runUntil, Signal } from '../lib/signal.mjs'

const TIMER_MS_MIN = 20
const PEERS_MAX = 60_000

const flags = readFlags({ backend: 'auto', strategy: 'blocking', timers: 0 })
const server = new ZerioServer(
  { host: '127.0.0.1', port: 0 },
  { waitStrategy: flags.strategy, backend: flags.backend, maxPeers: PEERS_MAX }
)
server.onMessage = (peer, buffer, offset, length) => {
  if (peer.send(buffer, offset, length) !== 0) fail('crowd: a peer was too slow')
}
server.on('error', (error) => fail(`crowd: ${error.message}`))
await server.start('crowd')
let fired = 0
for (let i = 0; i < flags.timers; i++) setInterval(() => fired++, TIMER_MS_MIN + i)
process.stdin.resume().on('end', () => process.exit())
report({ port: server.listeningPort })
await runUntil(server, flags.strategy, new Signal())
