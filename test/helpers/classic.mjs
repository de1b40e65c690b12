// A classic client made of node:net alone, which reads only when a test asks for it.

import { once } from 'node:events'
import { connect } from 'node:net'

/** Connects and sends its id. The client reads nothing, not even the answer, until `resume()`. */
export async function connectClassic(t, port, id) {
  const socket = connect({ host: '127.0.0.1', port })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  socket.write(frame(Buffer.from(id)))
  return socket
}

export function frame(payload) {
  const bytes = Buffer.allocUnsafe(4 + payload.length)
  bytes.writeUInt32LE(payload.length, 0)
  payload.copy(bytes, 4)
  return bytes
}

/** Reads `socket` from now on and calls `onFrame(payload)` for each frame, the echo of the id first. */
export function readFrames(socket, onFrame) {
  let rest = Buffer.alloc(0)
  socket.on('data', (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    let at = 0
    while (rest.length - at >= 4) {
      const length = rest.readUInt32LE(at)
      if (rest.length - at - 4 < length) break
      onFrame(rest.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    rest = rest.subarray(at)
  })
  socket.resume()
}
