// Pools are made of other memory where the system refuses WebAssembly memories, and the diagnostics say so.

import { once } from 'node:events'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { runScript } from '../helpers/child.mjs'
import { runLimited, startLimited } from '../helpers/limited.mjs'
import { until } from '../helpers/until.mjs'

/** A server and `PEERS` clients exchange one message each, in every way in which a program reads and writes pools. */
const exchange = `
  import { ZerioClient, ZerioServer } from 'zerio'
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  const text = 'é'.repeat(40)
  const read = new Set()
  server.onMessage = (peer, buffer, offset, length) => {
    const part = buffer.subarray(offset, offset + length)
    read.add(buffer.toString('utf8', offset, offset + length)).add(new TextDecoder().decode(part)).add(Buffer.from(part).toString())
    peer.send(buffer, offset, length)
  }
  await server.start('server')
  let answers = 0
  const clients = []
  for (let i = 0; i < PEERS; i++) {
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    client.on('message', (message) => { if (message.toString() === text) answers++ })
    await client.start('client ' + i)
    clients.push(client)
  }
  for (const [i, client] of clients.entries()) {
    if (i % 3 === 0) client.send(Buffer.from(text))
    if (i % 3 === 1) client.send(Buffer.from('..' + text), 2, 80)
    if (i % 3 === 2) { client.buffer.write(text, client.claim(80)); client.commit() }
  }
  while (answers < PEERS) await new Promise(setImmediate)
  const { memory, memoryReason } = server.engine
  await Promise.all(clients.map((client) => client.stop()))
  await server.stop()
  console.log(JSON.stringify({ memory, memoryReason, read: read.size }))
`

test('pools are WebAssembly memories by default', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.stop())
  await server.start('server')
  t.is(server.engine.memory, 'wasm')
  t.regex(server.engine.memoryReason, /WebAssembly/)
})

test('without WebAssembly (--jitless) pools are SharedArrayBuffers', async (t) => {
  const result = await runScript(exchange.replaceAll('PEERS', '20'), { flags: ['--jitless'] })
  t.is(result.code, 0, result.stderr)
  const { memory, memoryReason, read } = JSON.parse(result.stdout)
  t.is(memory, 'shared')
  t.regex(memoryReason, /--jitless/)
  t.is(read, 1)
})

test('a server takes hundreds of peers although addresses are limited', async (t) => {
  const result = await runLimited('ulimit -v 16000000', exchange.replaceAll('PEERS', '300'))
  t.is(result.code, 0, result.stderr)
  const { memory, memoryReason, read } = JSON.parse(result.stdout)
  t.is(read, 1)
  // Newer Node.js reserves fewer addresses for each when it starts with few.
  if (memory === 'shared') t.regex(memoryReason, /10 GB of addresses.*16384000000/)
  else t.is(memory, 'wasm')
})

test('a server serves a thousand peers under a limit of 2 GB of addresses', async (t) => {
  t.timeout(60_000)
  const PEERS = 1000
  const script = `
    import { ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
    server.on('error', (error) => { throw error })
    await server.start('server')
    console.log(server.listeningPort)
    process.stdin.resume().on('end', () => process.exit())
  `
  const server = startLimited('ulimit -v 2097152', script)
  t.teardown(() => server.kill())
  let stderr = ''
  server.stderr.on('data', (text) => {
    stderr += text
  })
  const [line] = await Promise.race([once(server.stdout, 'data'), once(server, 'close')])
  t.is(stderr, '')
  const port = Number(line)
  const engine = { receiveArenaBytes: 65_536 }
  const clients = Array.from({ length: PEERS }, () => new ZerioClient({ host: '127.0.0.1', port }, engine))
  t.teardown(() => Promise.all(clients.map((client) => client.stop())))
  let answers = 0
  for (const client of clients)
    client.onMessage = () => {
      answers++
    }
  for (let first = 0; first < PEERS; first += 100)
    await Promise.all(clients.slice(first, first + 100).map((client, i) => client.start(`peer ${first + i}`)))
  for (const client of clients) client.send(Buffer.alloc(100))
  await until(() => answers === PEERS, 'all answers')
  t.is(answers, PEERS)
})

test('later pools of an engine may be of other memory than its first', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { receiveArenaBytes: 65536 })
  const clients = []
  t.teardown(() => Promise.all([...clients, server].map((one) => one.stop())))
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  await server.start('server')
  t.is(server.engine.memory, 'wasm')
  const { Memory } = WebAssembly
  WebAssembly.Memory = class {
    constructor() {
      throw new RangeError('could not allocate memory')
    }
  }
  try {
    for (let i = 0; i < 40; i++) {
      const client = new ZerioClient(
        { host: '127.0.0.1', port: server.listeningPort },
        { receiveArenaBytes: 65536 }
      )
      await client.start(`client ${i}`)
      clients.push(client)
    }
  } finally {
    WebAssembly.Memory = Memory
  }
  t.is(server.engine.memory, 'shared')
  for (const client of clients) {
    const answer = once(client, 'message')
    client.send(Buffer.from('oui'))
    t.is(String((await answer)[0]), 'oui')
  }
})

test('the error names the limit and what to do when all memory is refused', async (t) => {
  const result = await runLimited(
    'ulimit -v 1700000',
    `import { ZerioServer } from 'zerio'
    const options = { sendRingBytes: 512 * 1024 * 1024, maxMessageLength: 16777215 }
    const error = await new ZerioServer({ host: '127.0.0.1', port: 0 }, options).start('server').catch((one) => one)
    console.log(JSON.stringify({ code: error.code, message: error.message, cause: error.cause?.name }))`
  )
  const { code, message, cause } = JSON.parse(result.stdout)
  t.is(code, 'ZERIO_OUT_OF_MEMORY')
  t.is(cause, 'RangeError')
  t.regex(message, /1740800000 bytes of addresses; raise .*ulimit -v.*container.*lower sendRingBytes/)
})
