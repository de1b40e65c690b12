// Both processes of ordinary.mjs, and the worker threads of the first. Arguments: role, ms, wait strategy, backend, port. The last line
// that a process prints is its result.

import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { Agent, createServer, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { ZerioClient, ZerioServer } from 'zerio'

const PEERS = 8
const WORKERS = 2
const TICK_MS = 5
const REQUEST_MS = 10
/** No side may be silent for longer than this, on the busiest machine. */
const SILENCE_MS_MAX = 10_000
const TICKET = 1
const ORDER = 2

const [role, ms, strategy, backend, port] = isMainThread ? process.argv.slice(2) : workerData
const options = { waitStrategy: strategy, backend, lingerMs: 10_000, heartbeatMs: 1_000 }
const faults = []
const fault = (text) => {
  if (faults.length < 10) faults.push(text)
}

/** kind, number. */
function write(kind, number) {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(kind, 0)
  bytes.writeUInt32LE(number, 4)
  return bytes
}

/** Checks that numbers of each kind rise by one. */
class Counter {
  next = new Map()
  last = performance.now()
  hear(who, buffer, offset) {
    const kind = buffer.readUInt32LE(offset)
    const number = buffer.readUInt32LE(offset + 4)
    // A peer that came later receives what is broadcast from then on.
    const expected = this.next.get(kind) ?? (kind === TICKET ? number : 0)
    if (number !== expected) fault(`${who}: number ${number} of kind ${kind} instead of ${expected}`)
    this.next.set(kind, number + 1)
    const now = performance.now()
    if (now - this.last > SILENCE_MS_MAX) fault(`${who}: silence of ${Math.round(now - this.last)} ms`)
    this.last = now
    return kind
  }
}

/** A client that sends numbered orders, each of which must come back, and receives tickets meanwhile. */
async function trade(id, toPort, until) {
  const client = new ZerioClient({ host: '127.0.0.1', port: toPort }, options)
  const counter = new Counter()
  client.onMessage = (buffer, offset) => counter.hear(id, buffer, offset)
  client.on('disconnected', (reason) => {
    if (!reason.local) fault(`${id}: ${reason}`)
  })
  await client.start(id)
  let sent = 0
  while (performance.now() < until) {
    if (client.send(write(ORDER, sent)) === 0) sent++
    await pause(1 + (sent % 7))
  }
  const late = performance.now() + SILENCE_MS_MAX
  while ((counter.next.get(ORDER) ?? 0) < sent && performance.now() < late) await pause(2)
  if (counter.next.get(ORDER) !== sent) fault(`${id}: ${sent} orders, ${counter.next.get(ORDER)} came back`)
  if (!counter.next.has(TICKET)) fault(`${id}: heard no ticket`)
  await client.stop()
  return sent
}

async function worker() {
  let answers = 0
  parentPort.on('message', (number) => {
    if (number !== answers++) fault(`a worker got ${number} instead of ${answers - 1}`)
    parentPort.postMessage(number)
  })
  const orders = await trade(`worker ${Math.random()}`, port, performance.now() + ms)
  parentPort.postMessage({ orders, faults })
  parentPort.close()
}

/** The server of the program: it checks each order's number and sends the order back. */
async function startServer(count) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  const counters = new Map()
  server.on('error', (error) => fault(error.message))
  server.on('clientConnected', (id) => counters.set(id, new Counter()))
  server.onMessage = (peer, buffer, offset, length) => {
    counters.get(peer.id).hear(`server of ${peer.id}`, buffer, offset)
    if (peer.send(buffer, offset, length) !== 0) fault(`the answer to ${peer.id} was refused`)
    count.orders++
  }
  await server.start('program')
  return { server, counters }
}

/** A web server and requests to it. `stop()` resolves when all are answered. */
async function startWeb(count) {
  const web = createServer((request, response) => response.end(request.url)).listen(0, '127.0.0.1')
  await once(web, 'listening')
  const { port: webPort } = web.address()
  const agent = new Agent({ keepAlive: true })
  let open = 0
  function request(path) {
    open++
    get({ host: '127.0.0.1', port: webPort, agent, path }, async (response) => {
      let body = ''
      for await (const text of response.setEncoding('utf8')) body += text
      if (body !== path) fault(`http: ${body} instead of ${path}`)
      open--
    }).on('error', (error) => fault(`http: ${error.message}`))
  }
  const requester = setInterval(() => request(`/${count.requests++}`), REQUEST_MS)
  return {
    async stop(late) {
      clearInterval(requester)
      while (open > 0 && performance.now() < late) await pause(2)
      if (open > 0) fault(`${open} http requests without an answer`)
      web.close()
      agent.destroy()
    }
  }
}

/** Writes a file again and again, and reads it. */
async function useFiles(until, count) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-ordinary-'))
  const file = join(folder, 'file')
  while (performance.now() < until) {
    await writeFile(file, `${count.files}`)
    if ((await readFile(file, 'utf8')) !== `${count.files}`) fault('a file has other content')
    count.files++
    await new Promise(setImmediate)
  }
  rmSync(folder, { recursive: true })
}

/** A thread with a client of the server, which also answers numbered messages of this thread. */
async function useWorker(until, count, serverPort) {
  const data = [role, Math.max(0, until - performance.now()), strategy, backend, serverPort]
  const one = new Worker(new URL(import.meta.url), { workerData: data })
  let sent = 0
  let heard = 0
  const timer = setInterval(() => one.postMessage(sent++), TICK_MS)
  one.on('message', (message) => {
    if (typeof message === 'number') {
      if (message !== heard++) fault(`a worker answered ${message} instead of ${heard - 1}`)
      count['worker messages']++
    } else {
      clearInterval(timer)
      for (const text of message.faults) fault(text)
    }
  })
  one.on('error', (error) => fault(`worker: ${error.message}`))
  const [code] = await once(one, 'exit')
  clearInterval(timer)
  if (code !== 0) fault(`a worker ended with ${code}`)
  if (heard === 0) fault('a worker answered nothing')
}

async function program() {
  const began = performance.now()
  const until = began + Number(ms)
  const count = { tickets: 0, orders: 0, requests: 0, files: 0, 'worker messages': 0 }
  const { server, counters } = await startServer(count)
  console.log(JSON.stringify({ port: server.listeningPort }))
  const ticker = setInterval(() => server.broadcast(write(TICKET, count.tickets++)), TICK_MS)
  const web = await startWeb(count)
  const workers = Array.from({ length: WORKERS }, () => useWorker(until, count, server.listeningPort))
  await Promise.all([useFiles(until, count), ...workers])
  // The peers end by themselves.
  const late = performance.now() + 3 * SILENCE_MS_MAX
  while (server.peerCount > 0 && performance.now() < late) await pause(5)
  if (server.peerCount > 0) fault(`${server.peerCount} peers are left`)
  if (counters.size !== PEERS + WORKERS) fault(`${counters.size} peers instead of ${PEERS + WORKERS}`)
  clearInterval(ticker)
  await web.stop(late)
  const seconds = (performance.now() - began) / 1000
  for (const [what, number] of Object.entries(count))
    if (number < seconds / 4) fault(`only ${number} ${what} in ${seconds.toFixed(1)} s`)
  await server.stop()
  const descriptors = readdirSync('/proc/self/fd').length
  if (descriptors > 60) fault(`${descriptors} descriptors at the end`)
  console.log(JSON.stringify({ ...count, faults }))
}

async function peers() {
  const until = performance.now() + Number(ms)
  const names = Array.from({ length: PEERS }, (_, i) => `peer ${i}`)
  const orders = await Promise.all(names.map((name) => trade(name, Number(port), until)))
  console.log(JSON.stringify({ orders: orders.reduce((sum, one) => sum + one, 0), faults }))
}

if (!isMainThread) await worker()
else if (role === 'program') await program()
else await peers()
