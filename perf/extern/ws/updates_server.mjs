// Sends numbered updates of keys (perf/lib/updates.mjs) to the peers of perf/c/subscribers.c with ws: one send() per update and client, as
// its documentation broadcasts, or with --batched the updates of a turn in one message.
import WebSocket, { WebSocketServer } from 'ws'
import { fail, readFlags, report } from '../../lib/program.mjs'
import { SCHEDULE_FLAGS, UPDATE_BYTES, writeUpdate } from '../../lib/update_schedule.mjs'
import { serveUpdates } from '../../lib/updates.mjs'

const flags = readFlags({ ...SCHEDULE_FLAGS, batched: false })
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 1024, perMessageDeflate: false })
server.on('connection', (client) => client.on('error', (error) => fail(`updates: ${error.message}`)))

function broadcast(data) {
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(data, { binary: true })
  }
}

function sendTurn(first, end, dueNs) {
  // The clients keep the bytes until they are written, so each turn needs its own; they share them.
  const batch = Buffer.allocUnsafeSlow((end - first) * UPDATE_BYTES)
  const view = new DataView(batch.buffer)
  for (let sequence = first, at = 0; sequence < end; sequence++, at += UPDATE_BYTES) {
    writeUpdate(view, at, sequence, dueNs)
    if (!flags.batched) broadcast(batch.subarray(at, at + UPDATE_BYTES))
  }
  if (flags.batched) broadcast(batch)
}

server.on('listening', () => {
  serveUpdates(flags, sendTurn)
  report({ port: server.address().port })
})
