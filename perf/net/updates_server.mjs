// Sends numbered updates of keys (perf/lib/updates.mjs) to the peers of perf/c/subscribers.c with node:net: one write() per update and peer,
// as it is usually written, or with --batched the updates of a turn in one write() per peer.
import { createServer } from 'node:net'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'
import { SCHEDULE_FLAGS, UPDATE_BYTES, writeUpdate } from '../lib/update_schedule.mjs'
import { serveUpdates } from '../lib/updates.mjs'

const { HEADER_BYTES } = format
const FRAME_BYTES = HEADER_BYTES + UPDATE_BYTES

const flags = readFlags({ ...SCHEDULE_FLAGS, batched: false })
const sockets = new Set()

const server = createServer({ noDelay: true }, (socket) => {
  sockets.add(socket)
  // The first frame is the peer's id, and is sent back.
  socket.once('data', (hello) => socket.write(hello))
  socket.on('close', () => sockets.delete(socket))
  socket.on('error', (error) => fail(`updates: ${error.message}`))
})

function sendTurn(first, end, dueNs) {
  // The sockets keep the bytes until they are written, so each turn needs its own; they share them.
  const batch = Buffer.allocUnsafeSlow((end - first) * FRAME_BYTES)
  const view = new DataView(batch.buffer)
  for (let sequence = first, at = 0; sequence < end; sequence++, at += FRAME_BYTES) {
    view.setUint32(at, UPDATE_BYTES, true)
    writeUpdate(view, at + HEADER_BYTES, sequence, dueNs)
    if (flags.batched) continue
    const frame = batch.subarray(at, at + FRAME_BYTES)
    for (const socket of sockets) socket.write(frame)
  }
  if (flags.batched) for (const socket of sockets) socket.write(batch)
}

server.listen(0, '127.0.0.1', 1024, () => {
  serveUpdates(flags, sendTurn)
  report({ port: server.address().port })
})
