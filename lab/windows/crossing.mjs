// One side of a conversation between two systems: node lab/windows/crossing.mjs server|client <file>. The server writes its port
// into the file and ends after one client; the client reads it there, sends messages of many sizes and compares the echoes.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { ZerioClient, ZerioServer } from 'zerio'

const [side, file] = process.argv.slice(2)
const SIZES = [0, 1, 31, 1023, 1024, 1025, 4096, 16_384, 16_385, 65_536]
const ROUNDS = 20
const message = (round, size) => Buffer.alloc(size, round + size)
const pause = () => new Promise((resolve) => setTimeout(resolve, 5))

if (side === 'server') {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  server.onMessage = (peer, buffer, offset, length, channel) => peer.send(buffer, offset, length, channel)
  const left = new Promise((resolve) =>
    server.once('clientDisconnected', (id, reason) => resolve(`${id} left: ${reason.code}`))
  )
  await server.start('server')
  writeFileSync(`${file}.new`, String(server.listeningPort))
  renameSync(`${file}.new`, file)
  console.log(`${await left}, ${server.engine.backend}`)
  await server.stop()
} else {
  while (!existsSync(file)) await pause()
  const client = new ZerioClient({ host: '127.0.0.1', port: Number(readFileSync(file, 'utf8')) })
  const echoes = []
  client.on('message', (bytes) => echoes.push(bytes))
  await client.start(`${process.platform} client`)
  const expected = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const size of SIZES) {
      const bytes = message(round, size)
      while (client.send(bytes) !== 0) await pause()
      expected.push(bytes)
    }
    // The server's ring holds one round.
    while (echoes.length < expected.length) await pause()
  }
  if (!echoes.every((echo, i) => echo.equals(expected[i]))) throw new Error('An echo differs.')
  console.log(`${echoes.length} echoes on ${process.platform}, ${client.engine.backend}`)
  await client.stop()
}
