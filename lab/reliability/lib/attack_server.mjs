// The server under attack, which echoes. It reads commands from stdin: `report <n>` prints what it holds and has counted.

import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { ZerioServer } from 'zerio'
import { ATTACK_LIMITS } from './attack_limits.mjs'

const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, ATTACK_LIMITS)
const refusals = {}
const endings = {}
const count = (table, code) => {
  table[code] = (table[code] ?? 0) + 1
}
server.on('refused', (reason) => count(refusals, reason.code))
server.on('clientDisconnected', (_, reason) => count(endings, reason.code))
server.on('error', (error) => count(refusals, error.code))
server.onMessage = (peer, buffer, offset, length) => {
  peer.send(buffer, offset, length)
}
await server.start('server')
console.log(JSON.stringify({ port: server.listeningPort }))
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command, number] = line.split(' ')
    if (command !== 'report') return
    const { user, system } = process.cpuUsage()
    const values = {
      [`report ${number}`]: true,
      counters: server.counters,
      engine: server.engine.counters,
      rssMb: Math.round(process.memoryUsage.rss() / 2 ** 20),
      descriptors: readdirSync('/proc/self/fd').length,
      cpuMs: Math.round((user + system) / 1000),
      refusals,
      endings
    }
    console.log(JSON.stringify(values))
  })
  .on('close', () => process.exit(0))
