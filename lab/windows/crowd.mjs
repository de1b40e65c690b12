// Thousands of connections to one server: node lab/windows/crowd.mjs server|clients <file> <count>. The clients are plain sockets on the
// other system, so that each system holds one side. Each sends a message and gets it back, twice: all are connected before the second. The server
// bounds what it locks in memory, and ends the connections, so that it is not the clients' ports that are in TIME_WAIT afterwards.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { ZerioServer } from 'zerio'
import { frame, readFrames } from '../../test/helpers/classic.mjs'

const [side, file, counted] = process.argv.slice(2)
const count = Number(counted)
const AT_ONCE = 100
const ECHOES = 2
// What docs/windows.md promises.
const LOCKED_BYTES_MAX = count * 8192 + 64 * 1024 * 1024
const MESSAGE = Buffer.alloc(100, 'x')
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function serve() {
  const server = new ZerioServer(
    { host: '127.0.0.1', port: 0 },
    { maxPeers: count, handshakeTimeoutMs: 60_000, lingerMs: 60_000 }
  )
  let peers = 0
  let echoes = 0
  let lockedBytes = 0
  server.onMessage = (peer, buffer, offset, length) => {
    peer.send(buffer, offset, length)
    lockedBytes = Math.max(lockedBytes, server.engine.lockedBytes)
    echoes++
  }
  server.on('clientConnected', () => {
    peers = Math.max(peers, server.counters.peers)
  })
  await server.start('server')
  writeFileSync(`${file}.new`, String(server.listeningPort))
  renameSync(`${file}.new`, file)
  while (echoes < ECHOES * count) await pause(50)
  await server.stop()
  if (lockedBytes > LOCKED_BYTES_MAX) throw new Error(`${lockedBytes} bytes were locked`)
  console.log(`round 1: ${server.engine.backend} ${peers} peers at once, ${lockedBytes} bytes locked`)
}

/** A connection whose echo() resolves when the message has come back. */
async function open(port, index) {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  let answered = () => {}
  const fail = new Promise((_, reject) => socket.once('error', reject))
  fail.catch(() => {})
  const answer = () => new Promise((resolve) => (answered = resolve))
  socket.once('close', () => answered('closed'))
  readFrames(socket, (payload) => answered(payload.length))
  const echo = async (bytes, expected) => {
    const came = answer()
    socket.write(frame(bytes))
    const length = await Promise.race([came, fail])
    if (length !== expected) throw new Error(`client ${index} got ${length}`)
  }
  // The answer to the id is the id.
  const id = Buffer.from(`client ${index}`)
  await echo(id, id.length)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  return { echo: () => echo(MESSAGE, MESSAGE.length), closed }
}

async function crowd() {
  while (!existsSync(file)) await pause(20)
  const port = Number(readFileSync(file, 'utf8'))
  const clients = []
  const eachOf = async (length, work) => {
    let next = 0
    const worker = async () => {
      for (let i = next++; i < length; i = next++) await work(i)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
  }
  await eachOf(count, async (i) => {
    clients[i] = await open(port, i)
    await clients[i].echo()
  })
  await eachOf(count, (i) => clients[i].echo())
  await Promise.all(clients.map(({ closed }) => closed))
  console.log(`${count} clients`)
}

if (side === 'server') await serve()
else await crowd()
