// The worker of workers.test.mjs: a server with two clients that send without end, until a test terminates the thread.

import { parentPort, workerData } from 'node:worker_threads'
import { ZerioClient, ZerioServer } from 'zerio'

const options = { waitStrategy: workerData.waitStrategy }
const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
server.onMessage = (peer, buffer, offset, length) => {
  peer.send(buffer, offset, length)
}
await server.start('server')
const port = workerData.port ?? server.listeningPort
const clients = ['a', 'b'].map(() => new ZerioClient({ host: '127.0.0.1', port }, options))
let messages = 0
for (const client of clients) {
  client.onMessage = (buffer, offset, length) => {
    client.send(buffer, offset, length)
    if (++messages === 500) parentPort.postMessage('busy')
  }
}
await Promise.all(clients.map((client, index) => client.start(`${workerData.name} ${index}`)))
const long = Buffer.alloc(30_000, 1)
for (const client of clients) {
  for (let i = 0; i < 4; i++) client.send(long)
  for (let i = 0; i < 20; i++) client.send(long, 0, i)
}
if (workerData.waitStrategy === 'manual') {
  for (;;) {
    for (let i = 0; i < 1000; i++) server.poll()
    await new Promise(setImmediate)
  }
}
parentPort.once('message', async () => {
  await Promise.all(clients.map((client) => client.stop()))
  await server.stop()
})
