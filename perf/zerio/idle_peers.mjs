// Connects idle peers to a zerio server with plain sockets and the classic handshake: the first frame is the peer's
// id, and the server sends it back. Each line on stdin says how many peers there are to be.
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'

const { HEADER_BYTES } = format

const { port } = readFlags({ port: 0 })
const CONNECTING_MAX = 64
const sockets = []

async function connectPeer(number) {
  const id = `idle-peer-${String(number).padStart(6, '0')}`
  const frame = Buffer.alloc(HEADER_BYTES + id.length)
  frame.writeUInt32LE(id.length)
  frame.write(id, HEADER_BYTES, 'ascii')
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', (error) => fail(`peer ${id}: ${error.message}`))
  socket.write(frame)
  let answer = Buffer.alloc(0)
  while (answer.length < frame.length) {
    const [bytes] = await once(socket, 'data')
    answer = Buffer.concat([answer, bytes])
  }
  if (!answer.equals(frame)) fail(`peer ${id}: the server answered ${answer.toString('hex')}`)
  socket.on('close', () => fail(`peer ${id}: the server closed the connection`))
  sockets.push(socket)
}

for await (const line of createInterface({ input: process.stdin })) {
  const target = Number(line)
  while (sockets.length < target) {
    const first = sockets.length
    const numbers = Array.from({ length: Math.min(CONNECTING_MAX, target - first) }, (_, i) => first + i)
    await Promise.all(numbers.map(connectPeer))
  }
  report({ connected: sockets.length })
}
process.exit()
