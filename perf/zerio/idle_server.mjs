// A server with default options that does nothing but keep its peers, so that its memory can be looked at. Ends when
// stdin does.
import { ZerioServer } from 'zerio'
import { fail, report } from '../lib/program.mjs'

const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
server.on('error', (error) => fail(`idle server: ${error.message}`))
await server.start('idle')
process.stdin.resume().on('end', () => process.exit())
report({ port: server.listeningPort })
