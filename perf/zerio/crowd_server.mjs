// Echoes for a crowd of peers (perf/c/crowd.c) until stdin ends.
import { ZerioServer } from 'zerio'
import { fail, readFlags, report } from '../lib/program.mjs'

const flags = readFlags({ backend: 'auto', strategy: 'blocking' })
const server = new ZerioServer(
  { host: '127.0.0.1', port: 0 },
  { waitStrategy: flags.strategy, backend: flags.backend }
)
server.onMessage = (peer, buffer, offset, length) => {
  if (peer.send(buffer, offset, length) !== 0) fail('crowd: a peer was too slow')
}
server.on('error', (error) => fail(`crowd: ${error.message}`))
await server.start('crowd')
process.stdin.resume().on('end', () => process.exit())
report({ port: server.listeningPort })
