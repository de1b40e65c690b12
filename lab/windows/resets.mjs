// 300 connections that send both ways while every third one is reset, as many rounds as asked: node lab/windows/resets.mjs 20
//
// Ends by itself, without process.exit(), so that the engine is torn down and the emulator can look for what is left.
import { once } from 'node:events'
import { connect } from 'node:net'
import { ZerioServer } from 'zerio'

const CONNECTIONS = 300
const ANSWERS = 20

function frame(bytes) {
  const framed = Buffer.alloc(4 + bytes.length)
  framed.writeUInt32LE(bytes.length)
  framed.set(bytes, 4)
  return framed
}

/** Sends to the server until it has received `ANSWERS` echoes, or resets the connection in the middle. */
async function talk(port, index, reset) {
  const socket = connect({ host: '127.0.0.1', port })
  await once(socket, 'connect')
  const size = 20 + (index % 7) * 900
  const id = frame(Buffer.from(`client ${index}`))
  const expected = id.length + ANSWERS * (4 + size)
  let got = 0
  socket.write(id)
  for (let i = 0; i < ANSWERS; i++) socket.write(frame(Buffer.alloc(size, index + i)))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => {})
  socket.on('data', (bytes) => {
    got += bytes.length
    if (reset && got > id.length) socket.resetAndDestroy()
    else if (got === expected) socket.end()
  })
  await closed
  if (!reset && got !== expected) throw new Error(`client ${index} got ${got} of ${expected} bytes`)
}

for (let round = 0; round < Number(process.argv[2] ?? 1); round++) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { maxHandshakes: CONNECTIONS })
  const reasons = new Map()
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  server.on('clientDisconnected', (_id, reason) =>
    reasons.set(reason.code, (reasons.get(reason.code) ?? 0) + 1)
  )
  await server.start('server')
  const port = server.listeningPort
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, index) => talk(port, index, index % 3 === 0)))
  while (server.counters.disconnected < CONNECTIONS) await new Promise((resolve) => setTimeout(resolve, 1))
  const { peers, handshakes, connected } = server.counters
  if (reasons.get('ECONNRESET') !== Math.ceil(CONNECTIONS / 3) || reasons.size !== 2)
    throw new Error(`reasons: ${JSON.stringify(Object.fromEntries(reasons))}`)
  if (peers !== 0 || handshakes !== 0 || connected !== CONNECTIONS)
    throw new Error(JSON.stringify(server.counters))
  console.log(`round ${round + 1}: ${server.engine.backend}, ${JSON.stringify(Object.fromEntries(reasons))}`)
  await server.stop()
}
