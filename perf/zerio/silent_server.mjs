// A server that does nothing but keep native peers (perf/net/silent_peers.mjs) and ask for signs of life, until stdin ends.
import { ZerioServer } from 'zerio'
import { fail, readFlags, report } from '../lib/program.mjs'

const { backend, heartbeatMs } = readFlags({ backend: 'auto', heartbeatMs: 0 })
const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { backend, heartbeatMs })
server.on('error', (error) => fail(`silent: ${error.message}`))
server.on('clientDisconnected', (id, reason) => fail(`silent: ${id} left: ${reason}`))
await server.start('silent')
process.stdin.resume().on('end', () => process.exit())
report({ port: server.listeningPort })
