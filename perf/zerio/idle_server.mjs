// A server that does nothing but keep its peers, so that its memory can be looked at. Collects garbage for each line
// on stdin, and ends when that does.
import { createInterface } from 'node:readline'
import { ZerioServer } from 'zerio'
import { fail, report } from '../lib/program.mjs'

const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { maxPeers: 20_000 })
server.on('error', (error) => fail(`idle server: ${error.message}`))
await server.start('idle')
createInterface({ input: process.stdin })
  .on('line', () => {
    for (let i = 0; i < 4; i++) gc()
    report({ collected: true })
  })
  .on('close', () => process.exit())
report({ port: server.listeningPort })
