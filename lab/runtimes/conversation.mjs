// What zerio does in a runtime, whichever it is: node|bun|deno lab/runtimes/conversation.mjs [part …]. Prints one line for each part, and
// ends with status 1 when one fails. The parts are the functions below.
import { once } from 'node:events'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { SendStatus, Waker, ZerioClient, ZerioServer } from 'zerio'

const MANY = 1000
const PART_MS = 30_000
const here = fileURLToPath(import.meta.url)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function check(truth, what) {
  if (!truth) throw new Error(what)
}

async function until(condition, what) {
  while (!condition()) await pause(1)
  return what
}

const echo = (peer, buffer, offset, length, channel) => peer.send(buffer, offset, length, channel)

async function serve({ port = 0, onMessage = echo, ...options } = {}) {
  const server = new ZerioServer({ host: '127.0.0.1', port }, options)
  server.onMessage = onMessage
  await server.start('server')
  return server
}

async function connect(port, id = 'client', options = {}) {
  const client = new ZerioClient({ host: '127.0.0.1', port }, options)
  await client.start(id)
  return client
}

/** Sends numbered messages one at a time, each when the last one has come back. */
async function talk(client, count) {
  const bytes = Buffer.alloc(64)
  let seen = 0
  let wrong = 0
  const done = new Promise((resolve) => {
    client.onMessage = (buffer, offset, length) => {
      if (length !== bytes.length || buffer.readUInt32LE(offset) !== seen) wrong++
      if (++seen === count) return resolve()
      bytes.writeUInt32LE(seen)
      client.send(bytes)
    }
  })
  bytes.writeUInt32LE(0)
  client.send(bytes)
  await done
  check(wrong === 0, `${wrong} wrong answers`)
}

const parts = {
  async echo() {
    const lines = []
    for (const waitStrategy of ['blocking', 'hybrid', 'spin']) {
      const server = await serve({ waitStrategy })
      const client = await connect(server.listeningPort, 'client', { waitStrategy })
      const began = performance.now()
      await talk(client, 2000)
      lines.push(`${waitStrategy} ${(((performance.now() - began) / 2000) * 1000).toFixed(0)} us`)
      await client.stop()
      await server.stop()
    }
    return lines.join(', ')
  },

  async manual() {
    const server = await serve({ waitStrategy: 'manual', maxMessageLength: 1024 })
    const client = await connect(server.listeningPort, 'client', {
      waitStrategy: 'manual',
      maxMessageLength: 1024
    })
    let answers = 0
    client.onMessage = () => answers++
    for (let sent = 1; sent <= 1000; sent++) {
      client.send(Buffer.from('oui'))
      client.flush()
      while (answers < sent) {
        server.poll()
        client.poll()
      }
    }
    await client.stop()
    await server.stop()
    return `${answers} answers`
  },

  async backPressure() {
    const held = []
    const server = await serve({ onMessage: (_peer, _buffer, _offset, length) => held.push(length) })
    const client = await connect(server.listeningPort)
    const bytes = Buffer.alloc(32_768)
    let drains = 0
    client.on('drain', () => drains++)
    let refused = 0
    for (let sent = 0; sent < 500; ) {
      if (client.send(bytes) === SendStatus.Sent) {
        sent++
        continue
      }
      refused++
      const before = drains
      await until(() => drains > before)
    }
    await until(() => held.length === 500)
    check(refused > 0, 'no send was refused')
    await client.stop()
    await server.stop()
    return `${refused} refused, ${drains} drains, ${held.length} messages`
  },

  async reconnect() {
    let server = await serve()
    const port = server.listeningPort
    let client = await connect(port)
    for (let round = 0; round < 5; round++) {
      const gone = once(client, 'disconnected')
      await server.stop()
      const [reason] = await gone
      check(reason.code === 'ZERIO_GOING_AWAY', reason.code)
      await client.stop()
      server = await serve({ port })
      client = await connect(port)
      await talk(client, 100)
    }
    await client.stop()
    await server.stop()
    return '5 rounds'
  },

  async deadlines() {
    // Both must come from a timer: nothing arrives.
    const server = await serve({ idleTimeoutMs: 200 })
    const client = await connect(server.listeningPort)
    const began = performance.now()
    const [reason] = await once(client, 'disconnected')
    const tookMs = performance.now() - began
    check(reason.code === 'ZERIO_IDLE_TIMEOUT', reason.code)
    check(tookMs >= 150, `after ${tookMs} ms`)
    await client.stop()
    await server.stop()
    return `${tookMs.toFixed(0)} ms`
  },

  async workers() {
    const server = await serve()
    const counts = await Promise.all(
      Array.from({ length: 3 }, async (_, i) => {
        const worker = new Worker(here, { workerData: { port: server.listeningPort, id: `worker ${i}` } })
        const [count] = await once(worker, 'message')
        await worker.terminate()
        return count
      })
    )
    await server.stop()
    check(counts.join() === '500,500,500', counts.join())
    return '3 workers, 500 messages each'
  },

  async waker() {
    const server = await serve()
    const { waker } = server.engine
    const words = new Int32Array(new SharedArrayBuffer(4))
    let seen = 0
    waker.onWake = () => {
      seen = Atomics.load(words, 0)
    }
    const worker = new Worker(here, { workerData: { waker, words } })
    await once(worker, 'message')
    await until(() => seen === 1000)
    await worker.terminate()
    await server.stop()
    check(!waker.wake(), 'it wakes an engine that has ended')
    return `${seen} seen`
  },

  async peers() {
    const server = await serve()
    const clients = []
    for (let i = 0; i < MANY; i += 50)
      clients.push(
        ...(await Promise.all(
          Array.from({ length: 50 }, (_, j) => connect(server.listeningPort, `peer ${i + j}`))
        ))
      )
    check(server.peerCount === MANY, `${server.peerCount} peers`)
    let heard = 0
    for (const client of clients) client.onMessage = () => heard++
    server.broadcast(Buffer.from('oui'))
    await until(() => heard === MANY)
    await Promise.all(clients.map((client) => client.stop()))
    await server.stop()
    return `${heard} peers heard`
  }
}

function runWaker() {
  const waker = Waker.from(workerData.waker)
  for (let i = 0; i < 1000; i++) {
    Atomics.add(workerData.words, 0, 1)
    check(waker.wake(), 'the engine is not there')
  }
  parentPort.postMessage(1000)
}

async function runWorker() {
  if (workerData.waker !== undefined) return runWaker()
  const client = await connect(workerData.port, workerData.id)
  await talk(client, 500)
  await client.stop()
  parentPort.postMessage(500)
}

async function runPart(name) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not over after ${PART_MS} ms`)), PART_MS)
  })
  try {
    console.log(`ok ${name}: ${await Promise.race([parts[name](), late])}`)
  } catch (error) {
    console.log(`not ok ${name}: ${error?.stack ?? error}`)
    process.exit(1)
  } finally {
    clearTimeout(timer)
  }
}

if (isMainThread) {
  const given = process.argv.slice(2)
  for (const name of given.length > 0 ? given : Object.keys(parts)) await runPart(name)
  // The process must end by itself now, because nothing is open any more: who runs this checks it.
  console.log('ended')
} else {
  await runWorker()
}
