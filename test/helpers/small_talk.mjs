// A worker with a client that has a few small messages under way all the time: it sends one for each answer.
import { workerData } from 'node:worker_threads'
import { ZerioClient } from 'zerio'

const { id, port, underWay } = workerData
const client = new ZerioClient({ host: '127.0.0.1', port }, { waitStrategy: 'spin' })
const bytes = Buffer.alloc(32)
client.onMessage = () => {
  client.send(bytes)
  client.flush()
}
await client.start(id)
for (let i = 0; i < underWay; i++) client.send(bytes)
