// A thread with an engine is terminated while 20 connections send both ways and 20 are silent, as many rounds as asked: it must leave
// nothing behind, and take no longer than the requests of closed sockets do.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { ZerioClient, ZerioServer } from 'zerio'

const CONNECTIONS = 20
// The requests of closed sockets are over within some ms.
const TERMINATE_MS_MAX = 500

async function serve() {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  await server.start('server')
  parentPort.postMessage({ port: server.listeningPort, backend: server.engine.backend })
}

async function round(number) {
  const worker = new Worker(new URL(import.meta.url))
  const [{ port, backend }] = await once(worker, 'message')
  let echoes = 0
  let left = 0
  const message = Buffer.alloc(5000)
  const clients = Array.from({ length: 2 * CONNECTIONS }, () => new ZerioClient({ host: '127.0.0.1', port }))
  await Promise.all(clients.map((client, index) => client.start(`client ${index}`)))
  for (const client of clients) client.on('disconnected', () => left++)
  for (const client of clients.slice(0, CONNECTIONS)) {
    client.onMessage = () => {
      echoes++
      client.send(message)
    }
    for (let i = 0; i < 8; i++) client.send(message)
  }
  while (echoes < CONNECTIONS * 20) await pause(1)
  const began = performance.now()
  await worker.terminate()
  const ms = Math.round(performance.now() - began)
  if (ms > TERMINATE_MS_MAX) throw new Error(`terminate took ${ms} ms`)
  while (left < 2 * CONNECTIONS) await pause(1)
  await Promise.all(clients.map((client) => client.stop()))
  console.log(`round ${number}: ${backend}, ended in ${ms} ms`)
}

if (isMainThread) for (let i = 1; i <= Number(process.argv[2] ?? 1); i++) await round(i)
else await serve()
