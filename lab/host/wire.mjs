// The protocol as a peer needs it, written from docs/protocol.md without a line of zerio.

const CONTROL = 0x80000000
const PING = 4
const PONG = 5
const HEADER_BYTES = 4
const MAGIC = 0x4f49525a

function frame(high, payload) {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length)
  bytes.writeUInt32LE(high + payload.length)
  payload.copy(bytes, HEADER_BYTES)
  return bytes
}

function greeting(opcode, id) {
  const name = Buffer.from(id)
  const fields = Buffer.alloc(16)
  fields.writeUInt32LE(MAGIC)
  fields[4] = 1
  fields.writeUInt16LE(name.length, 6)
  fields.writeUInt32LE(65_536, 8)
  return frame(CONTROL + opcode * 2 ** 24, Buffer.concat([fields, name]))
}

export const hello = (id) => greeting(1, id)
export const welcome = (id) => greeting(2, id)
export const dataFrame = (text) => frame(0, Buffer.from(text))

/** Takes a socket's bytes apart, answers pings, and hands on what data frames say. The first frame is a greeting. */
export function readFrames(socket, onMessage, onGreeting = () => {}) {
  let rest = Buffer.alloc(0)
  let greeted = false
  socket.on('data', (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    let at = 0
    while (rest.length - at >= HEADER_BYTES) {
      const header = rest.readUInt32LE(at)
      const end = at + HEADER_BYTES + (header % 2 ** 24)
      if (rest.length < end) break
      const payload = rest.subarray(at + HEADER_BYTES, end)
      at = end
      if (header < CONTROL) onMessage(payload)
      else if (header >>> 24 === 0x80 + PING) socket.write(frame(CONTROL + PONG * 2 ** 24, payload))
      if (!greeted) onGreeting()
      greeted = true
    }
    rest = rest.subarray(at)
  })
}
