// The end of a process: with open servers and clients, in a handler, by force, or because nothing is left to do.

import { once } from 'node:events'
import test from 'ava'
import { ZerioClient } from 'zerio'
import { runScript, startScript } from '../helpers/child.mjs'
import { until } from '../helpers/until.mjs'

const strategies = ['blocking', 'spin', 'hybrid', 'adaptive', 'manual']

/** A server that echoes and a client that sends without end, in one process. */
const busyPair = (waitStrategy, onMessage = '') => `
  import { ZerioClient, ZerioServer } from 'zerio'
  const options = { waitStrategy: '${waitStrategy}' }
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  let messages = 0
  server.onMessage = (peer, buffer, offset, length) => {
    peer.send(buffer, offset, length)
    messages++
    ${onMessage}
  }
  await server.start('server')
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
  client.onMessage = (buffer, offset, length) => {
    client.send(buffer, offset, length)
  }
  await client.start('client')
  for (let i = 0; i < 50; i++) client.send(Buffer.alloc(1000 * i))
  const work = async () => {
    while (options.waitStrategy === 'manual') {
      server.poll()
      await new Promise(setImmediate)
    }
  }
`

function assertEnd(t, result, code) {
  t.deepEqual(
    { code: result.code, signal: result.signal, stderr: result.stderr },
    { code, signal: null, stderr: '' }
  )
}

for (const waitStrategy of strategies) {
  test(`a handler may call process.exit: ${waitStrategy}`, async (t) => {
    const source = `${busyPair(waitStrategy, 'if (messages === 300) process.exit(42)')} await work()`
    assertEnd(t, await runScript(source), 42)
  })

  test(`process.exit works while server and client are open and busy: ${waitStrategy}`, async (t) => {
    const source = `${busyPair(waitStrategy)} setTimeout(() => process.exit(7), 50); await work()`
    assertEnd(t, await runScript(source), 7)
  })

  test(`an uncaught exception of a handler ends the process: ${waitStrategy}`, async (t) => {
    const source = `${busyPair(waitStrategy, "if (messages === 300) throw new Error('enough')")} await work()`
    const result = await runScript(source)
    t.is(result.code, 1)
    t.is(result.signal, null)
    t.regex(result.stderr, /Error: enough/)
  })

  test(`a process whose servers and clients have stopped ends by itself: ${waitStrategy}`, async (t) => {
    const source = `${busyPair(waitStrategy)}
      client.onMessage = null
      await client.stop()
      await server.stop()
      console.log('stopped')
    `
    const result = await runScript(source)
    assertEnd(t, result, 0)
    t.is(result.stdout, 'stopped\n')
  })
}

test('the listeners of the connection events may call process.exit', async (t) => {
  const source = (event) => `
    import { ZerioClient, ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    server.on('${event}', () => process.exit(3))
    client.on('${event}', () => process.exit(3))
    await client.start('client')
    while (server.peerCount === 0) await new Promise(setImmediate)
    server.peer('client').close()
  `
  for (const event of ['connected', 'clientConnected', 'disconnected', 'clientDisconnected']) {
    assertEnd(t, await runScript(source(event)), 3)
  }
})

test('an open server keeps the process alive; so does a connected client', async (t) => {
  const server = startScript(`
    import { ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await server.start('server')
    console.log(server.listeningPort)
  `)
  const port = Number(await until(() => server.output().endsWith('\n') && server.output()))
  const client = startScript(`
    import { ZerioClient } from 'zerio'
    const client = new ZerioClient({ host: '127.0.0.1', port: ${port} })
    client.on('disconnected', (reason) => console.log(reason.code))
    await client.start('client')
    console.log('connected')
  `)
  await until(() => client.output() === 'connected\n')
  const probe = new ZerioClient({ host: '127.0.0.1', port })
  for (let i = 0; i < 20; i++) {
    await probe.start('probe')
    await probe.stop()
  }
  t.is(server.child.exitCode, null)
  t.is(client.child.exitCode, null)
  // The client has nothing left to do when its server is killed.
  server.child.kill('SIGKILL')
  const result = await client.ended
  assertEnd(t, result, 0)
  t.regex(result.stdout, /^connected\n(ZERIO_PEER_LEFT|ECONNRESET)\n$/)
  await server.ended
})

for (const waitStrategy of strategies) {
  test(`clients emit disconnected when their server is killed: ${waitStrategy}`, async (t) => {
    const script = startScript(`${busyPair(waitStrategy)} console.log(server.listeningPort); await work()`)
    const port = Number(await until(() => script.output().endsWith('\n') && script.output()))
    const clients = Array.from({ length: 5 }, () => new ZerioClient({ host: '127.0.0.1', port }))
    await Promise.all(clients.map((client, index) => client.start(`${index}`)))
    const gone = clients.map((client) => once(client, 'disconnected'))
    script.child.kill('SIGKILL')
    for (const [reason] of await Promise.all(gone)) {
      t.true(['ZERIO_PEER_LEFT', 'ECONNRESET'].includes(reason.code), reason.code)
      t.false(reason.local)
    }
    t.true(clients.every((client) => !client.isConnected))
    await script.ended
  })
}

test('signals end a busy process as they end any other', async (t) => {
  const script = startScript(`${busyPair('spin')} console.log('ready')`)
  await until(() => script.output() === 'ready\n')
  script.child.kill('SIGTERM')
  const result = await script.ended
  t.is(result.signal, 'SIGTERM')
  t.is(result.stderr, '')
})
