// Sends 64 KiB batches of frames over a node:net socket until the other side closes it.
import { connect } from 'node:net'
import { format } from '../lib/message.mjs'
import { fail, report } from '../lib/program.mjs'

const { HEADER_BYTES, PAYLOAD_BYTES } = format

const BATCH_BYTES = 65_536
const BATCHES = 8
export const FRAME_BYTES = HEADER_BYTES + PAYLOAD_BYTES
const FRAMES_PER_BATCH = Math.floor(BATCH_BYTES / FRAME_BYTES)

/**
 * @param {number} port
 * @param {(bytes: Buffer, view: DataView) => void} fill writes frames over the whole batch
 */
export function sendBatches(port, fill) {
  let sent = 0

  // A buffer belongs to the socket until its write has been called back, so there are several, used in turn.
  const freeBatches = []
  for (let i = 0; i < BATCHES; i++) {
    const bytes = Buffer.alloc(FRAMES_PER_BATCH * FRAME_BYTES)
    const batch = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), written: null }
    batch.written = (error) => {
      // Before it destroys itself, a failing socket calls back all writes, and would take new ones for ever.
      if (error) return
      freeBatches.push(batch)
      if (freeBatches.length === 1) send()
    }
    freeBatches.push(batch)
  }

  function send() {
    while (freeBatches.length > 0) {
      const batch = freeBatches.pop()
      fill(batch.bytes, batch.view)
      sent += FRAMES_PER_BATCH
      socket.write(batch.bytes, batch.written)
    }
  }

  const socket = connect({ host: '127.0.0.1', port, noDelay: true }, send)
  socket.on('error', (error) => {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') fail(error.message)
  })
  socket.on('close', () => report({ sent }))
}
