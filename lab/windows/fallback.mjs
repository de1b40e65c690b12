// A system that has the functions of Registered I/O and refuses to use them, as a layered provider or a container may: node
// lab/windows/fallback.mjs. For each call that can be refused, `auto` must choose Winsock in a thread of its own, say why, and work.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { ZerioClient, ZerioServer } from 'zerio'

const KINDS = ['completion_queue', 'register', 'request_queue']
const EACH = -1

async function exchange() {
  const { refuse } = createRequire(import.meta.url)('./emulate_rio.cjs')
  refuse(workerData, EACH)
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  await server.start('server')
  const client = new ZerioClient(
    { host: '127.0.0.1', port: server.listeningPort },
    { connectTimeoutMs: 2000 }
  )
  const message = once(server, 'message')
  await client.start('client')
  client.send(Buffer.from('oui'))
  await message
  const { backend, backendReason } = server.engine
  await client.stop()
  await server.stop()
  refuse(workerData, 0)
  parentPort.postMessage({ backend, backendReason })
}

if (isMainThread) {
  const failed = []
  const reasons = []
  for (const kind of KINDS) {
    const worker = new Worker(new URL(import.meta.url), { workerData: kind })
    worker.on('error', () => {})
    const outcome = await Promise.race([
      once(worker, 'message').then(([seen]) => seen),
      once(worker, 'error').then(([error]) => ({ backend: error.code ?? error.message }))
    ])
    await worker.terminate()
    if (outcome.backend === 'winsock' && outcome.backendReason) reasons.push(outcome.backendReason)
    else failed.push(`${kind}: ${outcome.backend}`)
  }
  if (failed.length > 0) throw new Error(failed.join('; '))
  console.log(`round 1: rio is refused: ${reasons[0]}`)
} else await exchange()
