// worker_threads: an engine in each thread, and threads that are terminated in the middle of traffic.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { runScript } from '../helpers/child.mjs'
import { startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const traffic = new URL('../helpers/worker_traffic.mjs', import.meta.url)
const strategies = ['blocking', 'spin', 'hybrid', 'adaptive', 'manual']

function startTraffic(workerData) {
  const worker = new Worker(traffic, { workerData })
  const busy = new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`the worker ended with ${code} before it was busy`)))
  })
  return { worker, busy }
}

// In a process of its own, because descriptors are counted.
for (const waitStrategy of strategies) {
  test.serial(`20 workers terminated in traffic leave the process healthy: ${waitStrategy}`, async (t) => {
    const result = await runScript(`
      import { once } from 'node:events'
      import { readdirSync } from 'node:fs'
      import { Worker } from 'node:worker_threads'
      import { ZerioClient, ZerioServer } from 'zerio'
      // Windows has no list of them.
      const fds = () => process.platform === 'win32' ? 0 : readdirSync('/proc/self/fd').length
      const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
      server.onMessage = (peer, buffer, offset, length) => { peer.send(buffer, offset, length) }
      await server.start('server')
      const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
      await client.start('client')
      let before
      for (let i = 0; i < 20; i++) {
        if (i === 2) before = fds()
        const worker = new Worker(new URL('${traffic}'), {
          execArgv: [],
          workerData: { name: 'worker ' + i, waitStrategy: '${waitStrategy}' }
        })
        await once(worker, 'message')
        await worker.terminate()
        const echo = once(client, 'message')
        client.send(Buffer.from([i]))
        if ((await echo)[0][0] !== i) throw new Error('another echo')
      }
      const end = Date.now() + 5000
      while (fds() > before && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10))
      console.log(fds() <= before ? 'healthy' : 'leaks ' + (fds() - before))
      await client.stop()
      await server.stop()
    `)
    t.is(result.stderr, '')
    t.is(result.stdout, 'healthy\n')
    t.is(result.code, 0)
  })
}

test.serial('peers of a terminated worker leave, and the server goes on', async (t) => {
  const server = await startServer(t)
  server.onMessage = (peer, buffer, offset, length) => {
    peer.send(buffer, offset, length)
  }
  const gone = []
  server.on('clientDisconnected', (id) => gone.push(id))
  for (let i = 0; i < 5; i++) {
    const { worker, busy } = startTraffic({
      name: `worker ${i}`,
      waitStrategy: 'blocking',
      port: server.listeningPort
    })
    await busy
    t.is(server.peerCount, 2)
    await worker.terminate()
    await until(() => gone.length === 2 * (i + 1))
    t.is(server.peerCount, 0)
  }
})

test.serial('a worker ends by itself when its servers and clients have stopped', async (t) => {
  for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'adaptive']) {
    const { worker, busy } = startTraffic({ name: 'worker', waitStrategy })
    await busy
    const ended = once(worker, 'exit')
    worker.postMessage('stop')
    t.deepEqual(await ended, [0], waitStrategy)
  }
})

test.serial('workers share a port with reusePort', async (t) => {
  const result = await runScript(`
    import { once } from 'node:events'
    import { Worker } from 'node:worker_threads'
    import { ZerioClient, ZerioServer } from 'zerio'
    const source = \`
      const { parentPort, workerData, threadId } = require('node:worker_threads')
      const { ZerioServer } = require('zerio')
      const server = new ZerioServer({ host: '127.0.0.1', port: workerData.port }, { reusePort: true })
      server.on('clientConnected', (id, peer) => peer.send(Buffer.from(String(threadId))))
      server.start('server').then(() => parentPort.postMessage(server.listeningPort))
      parentPort.once('message', () => server.stop())
    \`
    const workers = []
    let port = 0
    for (let i = 0; i < 2; i++) {
      const worker = new Worker(source, { eval: true, execArgv: [], workerData: { port } })
      workers.push(worker)
      port = (await once(worker, 'message'))[0]
    }
    const threads = new Set()
    for (let i = 0; i < 200 && threads.size < 2; i++) {
      const client = new ZerioClient({ host: '127.0.0.1', port })
      const heard = once(client, 'message')
      await client.start('client ' + i)
      threads.add(String((await heard)[0]))
      await client.stop()
    }
    console.log(threads.size)
    for (const worker of workers) worker.postMessage('stop')
  `)
  t.is(result.stderr, '')
  t.is(result.stdout, '2\n')
  t.is(result.code, 0)
})

test('workers terminated while they make engines, servers and connections leave the process healthy', async (t) => {
  // Sixty starts of Node.js take long on an emulated system.
  t.timeout(120_000)
  const { code, signal, stderr } = await runScript(
    `
    import { Worker } from 'node:worker_threads'
    import { once } from 'node:events'
    const source = \`
      const { ZerioClient, ZerioServer } = require('zerio')
      require('node:worker_threads').parentPort.postMessage('here')
      const all = []
      const startAll = async () => {
        for (let i = 0; i < 60; i++) {
          const options = { sendRingBytes: 262144 + 4096 * (i + 1), authenticate: () => true }
          const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
          await server.start('server')
          const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
          await client.start('client')
          all.push(server, client, server.peer('client')?.remoteAddress)
        }
      }
      startAll()
    \`
    for (let i = 0; i < 60; i++) {
      const worker = new Worker(source, { eval: true, execArgv: [] })
      await once(worker, 'message')
      await new Promise((resolve) => setTimeout(resolve, i % 7))
      await worker.terminate()
    }
  `,
    { timeoutMs: 110_000 }
  )
  t.deepEqual([code, signal, stderr], [0, null, ''])
})
