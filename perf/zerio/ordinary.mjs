// An ordinary program (perf/lib/ordinary.mjs) that echoes the messages of a crowd (perf/c/crowd.c) with zerio.
import { ZerioServer } from 'zerio'
import { runOrdinary } from '../lib/ordinary.mjs'
import { fail, readFlags } from '../lib/program.mjs'

const flags = readFlags({ backend: 'auto', strategy: 'blocking', heartbeatMs: 0 })
const server = new ZerioServer(
  { host: '127.0.0.1', port: 0 },
  {
    waitStrategy: flags.strategy,
    backend: flags.backend,
    heartbeatMs: flags.heartbeatMs,
    maxPeers: 60_000,
    handshakeTimeoutMs: 60_000
  }
)
let messages = 0
server.onMessage = (peer, buffer, offset, length) => {
  messages++
  if (peer.send(buffer, offset, length) !== 0) fail('ordinary: a peer was too slow')
}
server.on('error', (error) => fail(`ordinary: ${error.message}`))
await server.start('ordinary')
await runOrdinary({ port: server.listeningPort, messages: () => messages })
