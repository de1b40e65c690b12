// Native peers with plain sockets that answer signs of life and say nothing else, until stdin ends.
import { connect } from 'node:net'
import { fail, readFlags, report } from '../lib/program.mjs'

const { port, peers } = readFlags({ port: 0, peers: 1 })
const CONNECTING_MAX = 64
const HEADER_BYTES = 4
const HELLO = 0x81
const PING = 0x84
const PONG = 0x85

function helloOf(id) {
  const frame = Buffer.alloc(HEADER_BYTES + 16 + id.length)
  frame.writeUInt32LE(HELLO * 2 ** 24 + 16 + id.length)
  frame.write('ZRIO', HEADER_BYTES)
  frame[HEADER_BYTES + 4] = 1
  frame.writeUInt16LE(id.length, HEADER_BYTES + 6)
  frame.writeUInt32LE(65_536, HEADER_BYTES + 8)
  frame.write(id, HEADER_BYTES + 16)
  return frame
}

/** Resolves with the WELCOME. Frames of a heartbeat are too short to be split on this road. */
const connectPeer = (number) =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    socket.write(helloOf(`silent ${number}`))
    socket.on('error', (error) => fail(`silent peer: ${error.message}`))
    socket.on('close', () => fail('silent peer: the server closed a connection'))
    socket.on('data', (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const length = bytes.readUInt32LE(at) % 2 ** 24
        if (bytes[at + 3] === PING) {
          bytes[at + 3] = PONG
          socket.write(Buffer.from(bytes.subarray(at, at + HEADER_BYTES + length)))
        } else resolve()
        at += HEADER_BYTES + length
      }
    })
  })

for (let first = 0; first < peers; first += CONNECTING_MAX) {
  const count = Math.min(CONNECTING_MAX, peers - first)
  await Promise.all(Array.from({ length: count }, (_, i) => connectPeer(first + i)))
}
process.stdin.resume().on('end', () => process.exit())
report({ connected: peers })
