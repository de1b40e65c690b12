// A thread ends while the system does not complete the requests of its closed sockets: node lab/windows/abandoned.mjs. It waits for some seconds, and
// then leaves the memory of these requests, and all that they belong to, for ever.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { ZerioServer } from 'zerio'
import { frame } from '../../test/helpers/classic.mjs'

const LATE_MS = 10_000
const WAIT_MS = [4000, 9500]
const CLIENTS = 3

if (isMainThread) {
  const { late } = createRequire(import.meta.url)('./emulate_rio.cjs')
  const worker = new Worker(new URL(import.meta.url))
  const [{ port, backend }] = await once(worker, 'message')
  for (let i = 0; i < CLIENTS; i++) {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('error', () => {}).resume()
    socket.write(frame(Buffer.from(`client ${i}`)))
    await once(socket, 'data')
  }
  late(LATE_MS)
  const began = performance.now()
  await worker.terminate()
  const ms = Math.round(performance.now() - began)
  if (ms < WAIT_MS[0] || ms > WAIT_MS[1]) throw new Error(`the thread waited for ${ms} ms`)
  // The requests complete now.
  await pause(LATE_MS - ms + 1000)
  console.log(`round 1: ${backend}, abandoned after ${ms} ms`)
} else {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  await server.start('server')
  parentPort.postMessage({ port: server.listeningPort, backend: server.engine.backend })
}
