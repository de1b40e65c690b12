// All peers of a server leave at once: the longest turn of its event loop until the last of them is gone.
import { join } from 'node:path'
import { ZerioServer } from 'zerio'
import { Program } from '../lib/processes.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'

const CONNECT_MS = 120_000

const { backend, peers } = readFlags({ backend: 'auto', peers: 10_000 })
const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { backend })
server.on('error', ({ message }) => fail(message))
await server.start('leaving')
const crowd = new Program(process.execPath, [
  join(import.meta.dirname, 'idle_peers.mjs'),
  '--port',
  server.listeningPort
])
crowd.write(String(peers))
await crowd.next(CONNECT_MS)

let longestMs = 0
let lastMs = performance.now()
const beganMs = lastMs
process.kill(crowd.pid, 'SIGKILL')
function turn() {
  const nowMs = performance.now()
  longestMs = Math.max(longestMs, nowMs - lastMs)
  lastMs = nowMs
  if (server.peerCount > 0) return setImmediate(turn)
  report({ peers, tookMs: nowMs - beganMs, longestTurnMs: longestMs })
  process.exit()
}
setImmediate(turn)
