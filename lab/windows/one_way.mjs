// A stream in one direction while the other side acknowledges as TCP does (ZERIO_RIO_ACKS=delayed): node lab/windows/one_way.mjs
//
// A sender that waits until a whole send ring is acknowledged gets one ring each 40 ms, the time of a delayed acknowledgement. The stream
// must be 50 times as fast; each byte of it is checked.
import { once } from 'node:events'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'

const OPTIONS = { maxMessageLength: 1024, sendRingBytes: 4096 }
const MESSAGE_BYTES = 1000
const DELAY_S = 0.04
const FASTER = 50
const SECONDS_MAX = 4

/** The n-th message: its number, and a byte that follows from it. */
function fill(message, number) {
  message.fill(number % 251, 4)
  message.writeUInt32LE(number)
}

async function receive() {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, OPTIONS)
  const expected = Buffer.alloc(MESSAGE_BYTES)
  let received = 0
  server.onMessage = (_peer, buffer, offset, length) => {
    fill(expected, received)
    if (expected.compare(buffer, offset, offset + length) !== 0)
      throw new Error(`message ${received} differs`)
    received++
  }
  server.on('clientDisconnected', () => parentPort.postMessage({ received }))
  parentPort.once('message', () => server.stop())
  await server.start('server')
  parentPort.postMessage({ port: server.listeningPort, backend: server.engine.backend })
}

async function send() {
  const worker = new Worker(new URL(import.meta.url))
  const [{ port, backend }] = await once(worker, 'message')
  const client = new ZerioClient({ host: '127.0.0.1', port }, OPTIONS)
  await client.start('client')
  const message = Buffer.alloc(MESSAGE_BYTES)
  const began = performance.now()
  let sent = 0
  while (performance.now() - began < SECONDS_MAX * 1000) {
    fill(message, sent)
    const status = client.send(message)
    if (status === SendStatus.Sent) sent++
    else if (status === SendStatus.BackPressured) await once(client, 'drain')
    else throw new Error(`send: ${status}`)
  }
  const counted = once(worker, 'message')
  await client.stop()
  const [{ received }] = await counted
  const seconds = (performance.now() - began) / 1000
  worker.postMessage('stop')
  await once(worker, 'exit')
  if (received !== sent) throw new Error(`${received} of ${sent} messages arrived`)
  const rate = (received * MESSAGE_BYTES) / seconds
  const ratio = rate / (OPTIONS.sendRingBytes / DELAY_S)
  const text = `${Math.round(rate)} bytes/s, ${ratio.toFixed(1)} times one send ring in ${DELAY_S * 1000} ms`
  if (ratio < FASTER) throw new Error(`too slow: ${backend} ${text}`)
  console.log(`round 1: ${backend} ${text}`)
}

if (isMainThread) await send()
else await receive()
