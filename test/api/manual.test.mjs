// The manual strategy: once started, nothing is dispatched unless the program polls; start and stop work by themselves.

import { once } from 'node:events'
import test from 'ava'
import { collect, makeClient, ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { pollUntil } from '../helpers/until.mjs'

const manual = () => ownEngine({ waitStrategy: 'manual' })
const bytes = (string) => Buffer.from(string)

/** Gives the loop every chance to dispatch. */
async function idle() {
  for (let i = 0; i < 30; i++) {
    await new Promise(setImmediate)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

test('no message is dispatched without poll', async (t) => {
  const { server, client } = await startPair(t, manual())
  const got = collect(server)
  for (let i = 0; i < 10; i++) client.send(bytes(`${i}`))
  client.flush()
  await idle()
  t.is(got.length, 0)
  await pollUntil(server, () => got.length === 10)
  client.send(bytes('more'))
  client.flush()
  await idle()
  t.is(got.length, 10)
})

test('without poll the server neither accepts nor loses a client', async (t) => {
  const options = manual()
  const server = await startServer(t, options)
  const events = []
  server.on('clientConnected', (id) => events.push(`+${id}`))
  server.on('clientDisconnected', (id) => events.push(`-${id}`))
  // Of another engine, so that its start does not drive the server's.
  const client = makeClient(t, server)
  const started = client.start('client')
  await idle()
  t.deepEqual(events, [])
  t.false(client.isConnected)
  await pollUntil(server, () => events.length === 1)
  await started
  client.stop()
  await idle()
  t.deepEqual(events, ['+client'])
  await pollUntil(server, () => events.length === 2)
  t.deepEqual(events, ['+client', '-client'])
})

test('poll returns how many messages it has dispatched, at any object of the engine', async (t) => {
  const { server, client, peer } = await startPair(t, manual())
  const atServer = collect(server)
  const atClient = collect(client)
  t.is(server.poll(), 0)
  t.is(client.poll(), 0)
  let dispatched = 0
  const counting = {
    poll() {
      dispatched += client.poll()
    }
  }
  for (let i = 0; i < 100; i++) client.send(bytes('up'))
  for (let i = 0; i < 50; i++) peer.send(bytes('down'))
  await pollUntil(counting, () => atServer.length === 100 && atClient.length === 50)
  t.is(dispatched, 150)
  t.is(server.poll(), 0)
})

test('poll flushes what was sent before it', async (t) => {
  const { server, client } = await startPair(t, manual())
  const got = collect(server)
  client.send(bytes('x'))
  const end = Date.now() + 5000
  while (got.length === 0 && Date.now() < end) server.poll()
  t.is(got.length, 1)
})

test('poll counts messages without a handler, and handlers may be set later', async (t) => {
  const { server, client } = await startPair(t, manual())
  client.send(bytes('without a handler'))
  let dispatched = 0
  const counting = {
    poll() {
      dispatched += server.poll()
    }
  }
  await pollUntil(counting, () => dispatched === 1)
  const got = collect(server)
  client.send(bytes('now'))
  await pollUntil(server, () => got.length === 1)
  t.is(got[0].bytes.toString(), 'now')
})

test('start and stop work without poll, also with a backlog', async (t) => {
  const options = manual()
  const server = await startServer(t, { ...options, lingerMs: 10_000 })
  const client = await startClient(t, server, 'client', options)
  const [other] = await Promise.all([
    startClient(t, server, 'other'),
    pollUntil(server, () => server.peerCount === 2)
  ])
  const got = collect(other)
  const peer = server.peer('other')
  let sent = 0
  while (sent < 1000 && peer.send(Buffer.alloc(10_000, sent)) === 0) sent++
  await client.stop()
  t.false(client.isConnected)
  const gone = once(other, 'disconnected')
  await server.stop()
  await gone
  t.is(got.length, sent)
  t.true(got.every((one, index) => one.bytes[9999] === (index & 255)))
})

test('poll works with every strategy', async (t) => {
  for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'adaptive']) {
    const { server, client } = await startPair(t, ownEngine({ waitStrategy }))
    const got = collect(server)
    client.send(bytes('x'))
    const end = Date.now() + 5000
    let dispatched = 0
    while (got.length === 0 && Date.now() < end) dispatched += server.poll()
    t.is(dispatched, 1, waitStrategy)
    await client.stop()
    await server.stop()
  }
})
