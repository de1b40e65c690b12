// The longest messages, to another thread that receives while they are sent: the system takes one in several parts.
import { createHash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { SendStatus } from 'zerio'
import { startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { watch } from '../helpers/wire_raw.mjs'

const LENGTH = 2 ** 24 - 1
const options = { maxMessageLength: LENGTH }

/** Runs `body` in a worker, with `zerio`, `port`, `options` and `parentPort`. */
function startWorker(t, port, body) {
  const code = `
    const zerio = require('zerio')
    const { parentPort, workerData: { port, options } } = require('node:worker_threads')
    ;(async () => { ${body} })()`
  const worker = new Worker(code, { eval: true, workerData: { port, options } })
  t.teardown(() => worker.terminate())
  return worker
}

test('each byte arrives once and in its place', async (t) => {
  const server = await startServer(t, options)
  const worker = startWorker(
    t,
    server.listeningPort,
    `
      const { createHash } = require('node:crypto')
      const client = new zerio.ZerioClient({ host: '127.0.0.1', port }, options)
      client.onMessage = (bytes, offset, length) =>
        parentPort.postMessage(createHash('md5').update(bytes.subarray(offset, offset + length)).digest('hex'))
      await client.start('reader')`
  )
  const received = []
  worker.on('message', (hash) => received.push(hash))
  await until(() => server.peer('reader') !== undefined)
  const sent = []
  for (let i = 0; i < 4; i++) {
    // No pattern that a lost or repeated part would keep.
    const words = Uint32Array.from({ length: 2 ** 22 }, (_, word) => Math.imul(word + i, 2654435761))
    const bytes = Buffer.from(words.buffer, 0, LENGTH - i)
    sent.push(createHash('md5').update(bytes).digest('hex'))
    await until(() => server.peer('reader').send(bytes) === SendStatus.Sent)
    bytes.fill(0xee)
  }
  await until(() => received.length === sent.length)
  t.deepEqual(received, sent)
})

// The system reports a reset once, and often a send gets that report: also one that goes on behind a first part.
test('a reset while one is sent is reported as ECONNRESET', async (t) => {
  const server = await startServer(t, options)
  const seen = watch(server)
  const bytes = Buffer.alloc(LENGTH, 1)
  server.on('clientConnected', (id) => {
    for (let i = 0; i < 3; i++) server.peer(id)?.send(bytes)
  })
  const rounds = 40
  startWorker(
    t,
    server.listeningPort,
    `
      for (let i = 0; i < ${rounds}; i++) {
        const client = new zerio.ZerioClient({ host: '127.0.0.1', port }, options)
        await client.start('reader ' + i)
        await new Promise((resolve) => setTimeout(resolve, i % 8))
        client.terminate()
      }`
  )
  await until(() => seen.disconnected.length === rounds)
  t.deepEqual([...new Set(seen.disconnected.map(({ reason }) => reason.code))], ['ECONNRESET'])
})
