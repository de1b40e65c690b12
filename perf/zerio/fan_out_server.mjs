// Sends one message to many peers (perf/c/sink.c): CPU time of this process per delivery, over blocks of turns of the
// event loop, and the time until the last peer has a message. The blocks are the same as in perf/c/fanout.c.
import { readClock, ZerioServer } from 'zerio'
import { runBlocks, STAMP_BYTES } from '../lib/fan_out.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'

const flags = readFlags({ backend: 'auto', bytes: 32, peers: 1, perTurn: 1, turns: 100, blocks: 10 })
const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { backend: flags.backend })
const message = Buffer.alloc(flags.bytes)
const stamp = new Float64Array(message.buffer, message.byteOffset, STAMP_BYTES / 8)
let connected = 0
let onAnswer = () => {}
let onConnected = () => {}

server.on('clientConnected', () => {
  if (++connected === flags.peers) onConnected()
})
server.onMessage = (_peer, buffer, offset) => onAnswer(buffer.view.getFloat64(offset, true))
server.on('error', (error) => fail(`fan-out: ${error.message}`))

function sendTurn(stamped) {
  for (let i = 0; i < flags.perTurn; i++) {
    if (stamped && i === flags.perTurn - 1) readClock(stamp)
    else stamp[0] = 0
    if (server.broadcast(message) !== flags.peers) fail('fan-out: a peer was too slow')
  }
  // A flush at the end of the turn leaves some of it to the next turns, where it would be sent together with theirs.
  server.flush()
}

const all = new Promise((resolve) => {
  onConnected = resolve
})
await server.start('fan-out')
report({ port: server.listeningPort })
await all
const answers = { next: () => new Promise((resolve) => (onAnswer = resolve)) }
report(await runBlocks(flags, sendTurn, answers))
process.exit()
