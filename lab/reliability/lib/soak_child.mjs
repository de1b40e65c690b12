// The process of soak.mjs: a server and its peers. Arguments: ms, seed. Prints its progress as JSON lines, the last with the verdict.

import { readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { randomFrom } from '../../../test/helpers/link.mjs'

const [durationMs, seed] = process.argv.slice(2).map(Number)
const random = randomFrom(seed)
const GROWTH_MB_MAX = 32
const HEADER_BYTES = 8
const MESSAGE_BYTES_MAX = 65_536
const faults = []
const fault = (text) => {
  if (faults.length < 10) faults.push(text)
}
const total = { messages: 0, bytes: 0, connects: 0, backPressured: 0 }

// A table of random bytes: a message is a number, a checksum, and a piece of it.
const table = Buffer.from(Array.from({ length: 2 * MESSAGE_BYTES_MAX }, () => random(256)))
const sum = typeof crc32 === 'function' ? crc32 : adler
function adler(bytes) {
  let a = 1
  let b = 0
  for (const byte of bytes) {
    a = (a + byte) % 65_521
    b = (b + a) % 65_521
  }
  return (b * 65_536 + a) >>> 0
}

function sizeOf() {
  const kind = random(100)
  if (kind < 70) return random(200)
  if (kind < 97) return random(4000)
  return random(MESSAGE_BYTES_MAX - HEADER_BYTES)
}

const scratch = Buffer.alloc(MESSAGE_BYTES_MAX)
/** Sends as many numbered messages as there is room for, at most `most`. */
function talk(one, state, most) {
  for (let i = 0; i < most; i++) {
    state.pending ??= { length: sizeOf(), at: random(MESSAGE_BYTES_MAX) }
    const { length, at } = state.pending
    table.copy(scratch, HEADER_BYTES, at, at + length)
    scratch.writeUInt32LE(state.sent, 0)
    scratch.writeUInt32LE(sum(scratch.subarray(HEADER_BYTES, HEADER_BYTES + length)), 4)
    const status = one.send(scratch, 0, HEADER_BYTES + length)
    if (status === SendStatus.BackPressured) {
      total.backPressured++
      return false
    }
    if (status !== SendStatus.Sent) return false
    state.sent++
    state.pending = undefined
  }
  return true
}

function hear(who, state, buffer, offset, length) {
  const number = buffer.readUInt32LE(offset)
  if (number !== state.heard) fault(`${who}: message ${number} instead of ${state.heard}`)
  state.heard = number + 1
  if (buffer.readUInt32LE(offset + 4) !== sum(buffer.subarray(offset + HEADER_BYTES, offset + length))) {
    fault(`${who}: message ${number} is damaged`)
  }
  total.messages++
  total.bytes += length
}

const fresh = () => ({ sent: 0, heard: 0, pending: undefined })
const sides = new Map()
const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { lingerMs: 10_000 })
server.on('clientConnected', (id, peer) => {
  peer.userData = fresh()
  sides.set(id, peer.userData)
})
server.onMessage = (peer, buffer, offset, length) => {
  hear(`server of ${peer.id}`, peer.userData, buffer, offset, length)
  talk(peer, peer.userData, 1)
}
server.on('drain', (peer) => talk(peer, peer.userData, 20))
await server.start('server')

/** One peer's life: it sends for a while, quickly or slowly, and ends when both sides have received everything. */
async function live(id, until) {
  const slow = random(5) === 0
  const client = new ZerioClient(
    { host: '127.0.0.1', port: server.listeningPort },
    // A slow peer has an engine of its own, which is polled now and then.
    slow ? { waitStrategy: 'manual', lingerMs: 10_000, socketReceiveBytes: 16_384 } : { lingerMs: 10_000 }
  )
  const state = fresh()
  client.onMessage = (buffer, offset, length) => hear(id, state, buffer, offset, length)
  client.on('disconnected', (reason) => {
    if (!reason.local) fault(`${id}: ${reason}`)
  })
  await client.start(id)
  total.connects++
  const end = Math.min(until, performance.now() + 200 + random(4000))
  while (performance.now() < end) {
    talk(client, state, slow ? 5 : 40)
    await pause(slow ? 5 + random(30) : 1)
    if (slow) client.poll()
  }
  const late = performance.now() + 20_000
  for (;;) {
    const side = sides.get(id)
    if (side !== undefined && side.heard === state.sent && state.heard === side.sent) break
    if (performance.now() > late) {
      fault(
        `${id}: sent ${state.sent}, heard there ${side?.heard}; sent there ${side?.sent}, heard ${state.heard}`
      )
      break
    }
    if (slow) client.poll()
    await pause(1)
  }
  await client.stop()
  sides.delete(id)
}

const holdings = () => {
  globalThis.gc?.()
  return {
    rssMb: Math.round(process.memoryUsage.rss() / 2 ** 20),
    heapMb: Math.round(process.memoryUsage().heapUsed / 2 ** 20),
    descriptors: readdirSync('/proc/self/fd').length
  }
}
const began = performance.now()
const until = began + durationMs
let names = 0
const lives = Array.from({ length: 12 }, async () => {
  while (performance.now() < until) await live(`peer ${names++}`, until)
})
// The pools are committed as they are touched, so the first third of the time is not judged, three minutes of it at most.
await pause(Math.min(durationMs / 3, 180_000))
const before = holdings()
while (performance.now() < until) {
  await pause(Math.min(10_000, Math.max(1, until - performance.now())))
  console.log(
    JSON.stringify({
      seconds: Math.round((performance.now() - began) / 1000),
      ...total,
      ...holdings(),
      faults
    })
  )
}
await Promise.all(lives)
const after = holdings()
await server.stop()
if (after.rssMb - before.rssMb > GROWTH_MB_MAX) fault(`memory grew from ${before.rssMb} to ${after.rssMb} MB`)
if (after.descriptors > before.descriptors)
  fault(`${after.descriptors - before.descriptors} descriptors more`)
console.log(
  JSON.stringify({ verdict: faults.length === 0 ? 'ok' : 'failed', ...total, before, after, faults })
)
process.exit(0)
