// One process whose program overwrites the memory that it shares with the engine while messages flow. Arguments: seed, ms.
// Prints one JSON line: what was written, what flowed, and `faults`, which must be empty.

import { setTimeout as pause } from 'node:timers/promises'
import { ZerioClient, ZerioServer } from 'zerio'
import { randomFrom } from '../../../test/helpers/link.mjs'

const [seed, durationMs] = process.argv.slice(2).map(Number)
const random = randomFrom(seed)
const strategy = ['blocking', 'spin', 'hybrid'][seed % 3]
const options = {
  waitStrategy: strategy,
  receiveArenaBytes: 16384,
  maxMessageLength: 20000,
  sendRingBytes: 65536,
  lingerMs: 100,
  ...(seed % 2 === 1 && { heartbeatMs: 10 })
}
const LAG_MS_MAX = 3000

// addon/engine/layout.h and src/engine/layout.ts, in bytes.
const pages = (bytes) => Math.ceil(bytes / 4096) * 4096
const events = 1024 + 64 * 256 + 65536 * 4
const arena = pages(events + (options.receiveArenaBytes / 8 + 4096) * 32)
const slots = arena + options.receiveArenaBytes
const rings = slots + 4096
const assemblies = rings + 16 * options.sendRingBytes
const regions = {
  words: [0, 16],
  counters: [512, 1024 + 256],
  dirty: [1024 + 64 * 256, 1024 + 64 * 256 + 256],
  events: [events, events + 40 * 32],
  arena: [arena, slots],
  slots: [slots, slots + 16 * 128],
  tails: [slots, slots + 16 * 128],
  rings: [rings, assemblies],
  assemblies: [assemblies, assemblies + 20 * 20480]
}
// Half of the seeds keep to one region, so that rare combinations do not hide behind an early end of all connections.
const names = Object.keys(regions)
const chosen = seed % 4 < 2 ? names : [names[(seed >> 2) % names.length]]
const extremes = [0, 1, 2, 3, 15, 16, 17, -1, -2, 2 ** 31 - 1, -(2 ** 31), 4095, 4096, 65535, 65536, 65532]
const faults = []
const report = {
  seed,
  strategy,
  regions: chosen.length,
  writes: 0,
  messages: 0,
  connections: 0,
  lagMs: 0,
  faults
}

function fault(text) {
  if (faults.length < 5) faults.push(String(text))
}

process.on('uncaughtException', (error) => fault(error.stack))
process.on('unhandledRejection', (error) => fault(error.stack))

function value() {
  switch (random(4)) {
    case 0:
      return extremes[random(extremes.length)]
    case 1:
      return random(70000)
    case 2:
      return random(12)
    default:
      return random(2 ** 32) | 0
  }
}

let memory
function vandalise() {
  if (memory === undefined) return
  for (let count = 1 + random(4); count > 0; count--) {
    const name = chosen[random(chosen.length)]
    const [from, to] = regions[name]
    let at = from + (random((to - from) / 4) << 2)
    // The first six words of a slot are its positions; the rest are counters.
    if (name === 'tails') at = from + random(16) * 128 + random(6) * 4
    memory.setInt32(at, value(), true)
    report.writes++
  }
}

/** A handler's offset and length must lie inside of the buffer that it gets. */
function handle(reply) {
  return (buffer, offset, length) => {
    report.messages++
    const inside = offset >= 0 && length >= 0 && offset + length <= buffer.length
    if (!inside) fault(`message at ${offset}, ${length} bytes, of ${buffer.length}`)
    if (random(8) === 0) vandalise()
    try {
      reply(buffer, offset, length)
    } catch (error) {
      fault(`send threw ${error.stack}`)
    }
  }
}

const ids = new Set()
const newServer = async (engine) => {
  const server = new ZerioServer(
    { host: '127.0.0.1', port: 0 },
    { ...engine, ...(seed % 5 === 0 && { authenticate: () => true }) }
  )
  server.on('error', () => {})
  server.on('clientConnected', (id, peer) => {
    ids.add(id)
    memory ??= new DataView(peer.buffer.buffer)
  })
  server.onMessage = (peer, buffer, offset, length) =>
    handle((...message) => peer.send(...message))(buffer, offset, length)
  await server.start('server')
  return server
}
const server = await newServer(options)

let open = true
let names_ = 0
const payload = Buffer.alloc(20000, 7)
async function churn() {
  const client = new ZerioClient(
    { host: '127.0.0.1', port: server.listeningPort },
    { ...options, connectTimeoutMs: 200 }
  )
  client.onMessage = handle((...message) => client.send(...message))
  while (open) {
    try {
      // A start or a stop whose events were overwritten may wait for ever, which the program itself has caused.
      const started = client.start(`client ${names_++}`)
      started.catch(() => {})
      await Promise.race([started, pause(300)])
      report.connections++
      for (let i = 0; i < 12; i++) client.send(payload, 0, random(4) === 0 ? random(20000) : random(64))
      await pause(random(60))
      for (let i = 0; i < 3; i++) client.send(payload, 0, random(64))
    } catch (error) {
      if (!/^(ZERIO_|E[A-Z]+$)/.test(error.code ?? '')) fault(error.stack)
    }
    await Promise.race([client.stop(), pause(300)])
    if (client.isConnected) break
  }
}

const began = performance.now()
let last = began
const heart = setInterval(() => {
  const now = performance.now()
  report.lagMs = Math.max(report.lagMs, Math.round(now - last))
  last = now
  vandalise()
}, 2)
const churners = Array.from({ length: 4 }, async () => {
  while (open) await churn()
})
await pause(durationMs)
open = false
memory = undefined
await Promise.all(churners)
clearInterval(heart)
if (report.lagMs > LAG_MS_MAX) fault(`the loop stood still for ${report.lagMs} ms`)

// The thread still serves another engine, and this one.
for (const [name, engine] of [
  ['another engine', { ...options, sendRingBytes: 131072 }],
  ['the same engine', options]
]) {
  const other = await newServer(engine)
  const client = new ZerioClient({ host: '127.0.0.1', port: other.listeningPort }, engine)
  let echoes = 0
  client.onMessage = () => echoes++
  const alive = (async () => {
    for (let attempt = 0; ; attempt++) {
      try {
        await client.start(`afterwards ${attempt}`)
        break
      } catch (error) {
        if (attempt === 3) throw error
      }
    }
    client.send(Buffer.from('still here'))
    while (echoes === 0) await pause(1)
    return true
  })()
  alive.catch((error) => fault(`${name}: ${error.stack}`))
  if (!(await Promise.race([alive.catch(() => true), pause(5000)]))) fault(`${name} does not answer`)
}
console.log(JSON.stringify(report))
process.exit(0)
