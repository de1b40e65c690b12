// One stage of life.mjs in a process of its own. Arguments: stage, how often. Prints counts before and after as one JSON line.

import { readdirSync, readlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { randomFrom } from '../../../test/helpers/link.mjs'
import { until } from '../../../test/helpers/until.mjs'
import { hello } from '../../../test/helpers/wire_raw.mjs'

const [stage, countText, seedText = '1'] = process.argv.slice(2)
const count = Number(countText)
const random = randomFrom(Number(seedText))
const strategies = ['blocking', 'spin', 'hybrid']
const faults = []
const WAIT_MS = 60_000

/** Node.js itself leaves a module's file open when it terminates a thread that reads it; zerio opens no files. */
function isOpenModule(fd) {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).endsWith('.mjs')
  } catch {
    return true
  }
}

/** Counts what a process holds. Resident memory is read after a collection. */
function holdings() {
  globalThis.gc?.()
  // The timer of this wait counts, too; zerio itself uses no JavaScript timers.
  const kinds = process.getActiveResourcesInfo().filter((kind) => kind !== 'Timeout')
  return {
    descriptors: readdirSync('/proc/self/fd').filter((fd) => !isOpenModule(fd)).length,
    handles: kinds.length,
    kinds: kinds.sort().join(' '),
    rssMb: Math.round(process.memoryUsage.rss() / 2 ** 17) / 8,
    heapMb: Math.round(process.memoryUsage().heapUsed / 2 ** 17) / 8
  }
}

/** Counts what is left after all ends: libuv closes handles a turn later, and a leak stays for ever. */
async function settle(before) {
  const settled = () => {
    const now = holdings()
    return now.descriptors <= before.descriptors && now.handles <= before.handles
  }
  await until(settled, 'all to close', WAIT_MS).catch(() => {})
  return holdings()
}

async function newServer(options = {}) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  server.onMessage = (peer, buffer, offset, length) => {
    peer.send(buffer, offset, length)
  }
  await server.start('server')
  return server
}

const clientOf = (server, options) =>
  new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)

async function cycles() {
  const cycle = async (i) => {
    const options = { waitStrategy: strategies[i % 3] }
    const server = await newServer(options)
    const client = clientOf(server, options)
    let echoes = 0
    client.onMessage = () => echoes++
    await client.start('client')
    client.send(Buffer.alloc(1 + random(60_000)))
    if (i % 2 === 0) await until(() => echoes === 1, 'an echo', WAIT_MS)
    await Promise.all(i % 3 === 0 ? [server.stop(), client.stop()] : [client.stop(), server.stop()])
  }
  // Pools are committed as they are touched, so half of the work goes before.
  const warm = Math.max(3, Math.ceil(count / 2))
  for (let i = 0; i < warm; i++) await cycle(i)
  const before = holdings()
  for (let i = 0; i < count; i++) await cycle(i)
  return { before, after: await settle(before), cycles: count }
}

/** Clients that send all the time and must not notice anything: every echo must be the next one. */
async function startSteady(server, name) {
  const client = clientOf(server, { sendRingBytes: 294_912 })
  const state = { client, echoes: 0 }
  const message = Buffer.alloc(200)
  client.onMessage = (buffer, offset, length) => {
    if (length !== 200 || buffer.readUInt32LE(offset) !== state.echoes) faults.push(`${name}: a wrong echo`)
    message.writeUInt32LE(++state.echoes)
    if (client.send(message) < 0) faults.push(`${name}: not sent`)
  }
  client.on('disconnected', (reason) => {
    if (!reason.local) faults.push(`${name}: ${reason}`)
  })
  await client.start(name)
  client.send(message)
  return state
}

async function connects() {
  const server = await newServer({ lingerMs: 200 })
  let connected = 0
  let disconnected = 0
  server.on('clientConnected', () => connected++)
  server.on('clientDisconnected', () => disconnected++)
  const steady = await Promise.all(['a', 'b', 'c'].map((name) => startSteady(server, `steady ${name}`)))
  let made = 0
  const native = async (id) => {
    const client = clientOf(server, { lingerMs: 200 })
    const gone = new Promise((resolve) => client.once('disconnected', resolve))
    await client.start(id)
    for (let i = random(4); i > 0; i--) client.send(Buffer.alloc(random(3000)))
    if (random(3) > 0) return client.stop()
    // The server ends it, at some moment.
    await until(() => server.peer(id) !== undefined, 'the peer', WAIT_MS)
    server.peer(id)?.close(4000 + random(1000), 'enough')
    await gone
  }
  const raw = async (id) => {
    const socket = connect(server.listeningPort, '127.0.0.1')
    const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    const known = new Promise((resolve) => socket.once('data', resolve))
    socket.write(hello({ id }))
    await Promise.race([known, closed])
    // A frame that is never complete, and then an end of stream or a reset.
    if (random(2) === 0) socket.write(Buffer.from([0, 16, 0, 0, 1, 2, 3]))
    if (random(2) === 0) socket.resetAndDestroy()
    else socket.destroy()
    await closed
  }
  const connectOne = async () => {
    const id = `peer ${made++}`
    await (random(4) === 0 ? raw(id) : native(id))
  }
  const connectMany = async (total) => {
    const end = made + total
    const worker = async () => {
      while (made < end) await connectOne()
    }
    await Promise.all(Array.from({ length: 20 }, worker))
    await until(() => server.peerCount === steady.length, 'peers to leave', WAIT_MS)
  }
  await connectMany(Math.ceil(count / 2))
  const before = holdings()
  await connectMany(count)
  const after = await settle(before)
  const { counters } = server
  if (connected !== disconnected + steady.length) faults.push(`${connected} came, ${disconnected} went`)
  if (counters.handshakes !== 0) faults.push(`${counters.handshakes} handshakes are left over`)
  if (counters.connected !== connected || counters.disconnected !== disconnected) faults.push('counters')
  const echoes = steady.reduce((sum, one) => sum + one.echoes, 0)
  await Promise.all(steady.map(({ client }) => client.stop()))
  await server.stop()
  return { before, after, connects: made, echoes }
}

async function workers() {
  // All threads connect to one server, so that a terminated thread is also a loss of peers.
  const server = await newServer({ lingerMs: 100 })
  const steady = await startSteady(server, 'steady')
  let ended = 0
  const one = async (index) => {
    const worker = new Worker(new URL('../../../test/helpers/worker_traffic.mjs', import.meta.url), {
      workerData: {
        waitStrategy: [...strategies, 'manual'][index % 4],
        name: `worker ${index}`,
        port: random(2) === 0 ? server.listeningPort : undefined
      },
      stdout: true
    })
    worker.on('error', (error) => faults.push(error.stack))
    const busy = new Promise((resolve) => worker.once('message', resolve))
    const moment = random(3)
    // In the middle of its start, soon after, or in full traffic.
    if (moment === 2) await busy
    else await pause(random(moment === 0 ? 30 : 150))
    await worker.terminate()
    ended++
  }
  const many = async (total) => {
    for (let i = 0; i < total; i += 2) await Promise.all([one(i), one(i + 1)])
    await until(() => server.peerCount === 1, 'peers to leave', WAIT_MS)
  }
  await many(Math.max(10, Math.ceil(count / 4)))
  const before = holdings()
  await many(count)
  const after = await settle(before)
  const echoes = steady.echoes
  await until(() => steady.echoes > echoes, 'an echo', WAIT_MS)
  await steady.client.stop()
  await server.stop()
  return { before, after, workers: ended, echoes }
}

/** Sends until it has received `count` messages, and calls process.exit wherever it is then. */
async function exits() {
  const options = { waitStrategy: strategies[random(3)] }
  const places = ['handler', 'drain', 'timer', 'microtask', 'stop', 'connected']
  const place = places[random(places.length)]
  let messages = 0
  const leave = () => process.exit(33)
  const server = await newServer(options)
  const client = clientOf(server, options)
  client.on('connected', () => {
    if (place === 'connected') leave()
  })
  await client.start('client')
  const long = Buffer.alloc(50_000)
  client.onMessage = (buffer, offset, length) => {
    client.send(buffer, offset, length)
    if (++messages !== count) return
    if (place === 'handler') leave()
    if (place === 'timer') setTimeout(leave)
    if (place === 'microtask') queueMicrotask(leave)
    if (place === 'stop') {
      server.stop()
      client.stop()
      setImmediate(leave)
    }
    if (place === 'drain') {
      client.onMessage = null
      while (client.send(long) === SendStatus.Sent);
      client.on('drain', leave)
    }
  }
  for (let i = 0; i < 30; i++) client.send(long, 0, random(50_000))
}

/** A server that its parent kills. */
async function victim() {
  const server = await newServer({ waitStrategy: strategies[count % 3] })
  console.log(JSON.stringify({ port: server.listeningPort }))
}

/** Clients of servers that are killed by force. */
async function orphans() {
  const { startChild } = await import('./processes.mjs')
  const reasons = {}
  let disconnected = 0
  const kill = async (index) => {
    const server = startChild('life_child.mjs', ['victim', index])
    const { port } = await server.line('port')
    const clients = Array.from(
      { length: 20 },
      () => new ZerioClient({ host: '127.0.0.1', port }, { waitStrategy: strategies[index % 3] })
    )
    await Promise.all(
      clients.map((client, i) => {
        client.onMessage = (buffer, offset, length) => {
          client.send(buffer, offset, length)
        }
        return client.start(`orphan ${i}`)
      })
    )
    for (const client of clients) client.send(Buffer.alloc(random(30_000)))
    const gone = clients.map((client) => new Promise((resolve) => client.once('disconnected', resolve)))
    await pause(random(40))
    server.child.kill('SIGKILL')
    for (const promise of gone) {
      const reason = await Promise.race([promise, pause(WAIT_MS, undefined, { ref: false })])
      if (reason === undefined) {
        faults.push('a client did not emit disconnected')
        continue
      }
      disconnected++
      reasons[reason.code] = (reasons[reason.code] ?? 0) + 1
    }
    if (clients.some((client) => client.isConnected || client.send(Buffer.alloc(1)) >= 0)) {
      faults.push('a client of a dead server still sends')
    }
    await server.ended
  }
  // Each wait strategy has an engine, which stays.
  for (let i = 0; i < strategies.length; i++) await kill(i)
  const before = holdings()
  for (let i = 0; i < count; i++) await kill(i)
  const expected = ['ZERIO_PEER_LEFT', 'ECONNRESET', 'EPIPE']
  for (const code of Object.keys(reasons)) if (!expected.includes(code)) faults.push(`reason ${code}`)
  return { before, after: await settle(before), kills: count, disconnected, ...reasons }
}

const stages = { cycles, connects, workers, exits, victim, orphans }
const result = await stages[stage]()
if (result !== undefined) {
  console.log(JSON.stringify({ ...result, faults }))
  process.exit(0)
}
