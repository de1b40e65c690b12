// The order of events: connected strictly before the first message, disconnected strictly after the last, exactly once.

import { once } from 'node:events'
import test from 'ava'
import { SendStatus } from 'zerio'
import { connectClassic, frame } from '../helpers/classic.mjs'
import { makeClient, ownEngine, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'

const MESSAGES = 200

/** Records all events of a server, by peer id. */
function record(server) {
  const log = new Map()
  const add = (id, what) => {
    if (!log.has(id)) log.set(id, [])
    log.get(id).push(what)
  }
  server.on('clientConnected', (id, peer) => add(id, peer.id === id ? 'connected' : 'wrong peer'))
  server.on('clientDisconnected', (id, reason, peer) => {
    add(id, peer.id === id ? `disconnected ${reason.closeCode}` : 'wrong peer')
  })
  server.onMessage = (peer, buffer, offset) => add(peer.id, buffer.readUInt32LE(offset))
  return log
}

function assertLife(t, life, messages, end) {
  t.is(life[0], 'connected')
  t.is(life.at(-1), end)
  t.deepEqual(
    life.slice(1, -1),
    life.slice(1, -1).map((_, index) => index)
  )
  if (messages !== undefined) t.is(life.length, messages + 2)
}

function sendNumbered(client) {
  const bytes = Buffer.alloc(50)
  for (let i = 0; i < MESSAGES; i++) {
    bytes.writeUInt32LE(i)
    if (client.send(bytes) !== SendStatus.Sent) throw new Error('not taken')
  }
}

for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'adaptive', 'manual']) {
  test.serial(`a client that sends at once and leaves at once loses nothing: ${waitStrategy}`, async (t) => {
    const options = ownEngine({ waitStrategy })
    const server = await startServer(t, options)
    const log = record(server)
    const clients = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const client = makeClient(t, server, options)
        client.on('connected', () => sendNumbered(client))
        await client.start(`client ${index}`)
        return client
      })
    )
    await Promise.all(clients.map((client) => client.stop()))
    const finished = () =>
      [...log.values()].filter((life) => String(life.at(-1)).startsWith('disc')).length === 10
    await (waitStrategy === 'manual' ? pollUntil(server, finished) : until(finished))
    t.is(log.size, 10)
    for (const life of log.values()) assertLife(t, life, MESSAGES, 'disconnected 1000')
    t.is(server.peerCount, 0)
  })
}

test('a classic client may send id, messages and end of stream in one packet', async (t) => {
  const server = await startServer(t)
  const log = record(server)
  const socket = await connectClassic(t, server.listeningPort, 'x')
  socket.destroy()
  await until(() => log.get('x')?.length === 2 || server.counters.refused === 1)
  log.clear()
  const { connect } = await import('node:net')
  const frames = [frame(Buffer.from('classic'))]
  for (let i = 0; i < MESSAGES; i++) {
    const payload = Buffer.alloc(8)
    payload.writeUInt32LE(i)
    frames.push(frame(payload))
  }
  const other = connect(server.listeningPort, '127.0.0.1')
  const closed = once(other, 'close')
  other.resume()
  other.end(Buffer.concat(frames))
  await until(() => log.get('classic')?.length === MESSAGES + 2)
  assertLife(t, log.get('classic'), MESSAGES, 'disconnected 2000')
  await closed
})

test('disconnected is the last event on both sides when the server closes in the middle of traffic', async (t) => {
  const server = await startServer(t)
  const log = record(server)
  const client = makeClient(t, server)
  const atClient = []
  client.on('connected', () => atClient.push('connected'))
  client.on('disconnected', (reason) => atClient.push(`disconnected ${reason.closeCode}`))
  client.onMessage = (buffer, offset) => atClient.push(buffer.readUInt32LE(offset))
  await client.start('client')
  const peer = await until(() => server.peer('client'))
  sendNumbered(client)
  sendNumbered(peer)
  await until(() => log.get('client').length > 1)
  peer.close(4000)
  await until(
    () => log.get('client').at(-1) === 'disconnected 4000' && atClient.at(-1) === 'disconnected 4000'
  )
  await client.stop()
  await server.stop()
  assertLife(t, log.get('client'), undefined, 'disconnected 4000')
  assertLife(t, atClient, MESSAGES, 'disconnected 4000')
})

test('server.stop ends each peer once, after everything sent to it before', async (t) => {
  const server = await startServer(t)
  const log = record(server)
  const lives = []
  for (let i = 0; i < 5; i++) {
    const life = []
    lives.push(life)
    const client = makeClient(t, server)
    client.on('connected', () => life.push('connected'))
    client.on('disconnected', (reason) => life.push(`disconnected ${reason.closeCode}`))
    client.onMessage = (buffer, offset) => life.push(buffer.readUInt32LE(offset))
    await client.start(`client ${i}`)
  }
  await until(() => server.peerCount === 5)
  for (const peer of server.peers) sendNumbered(peer)
  await server.stop()
  await until(() => lives.every((life) => life.at(-1) === 'disconnected 1001'))
  for (const life of lives) assertLife(t, life, MESSAGES, 'disconnected 1001')
  for (const life of log.values()) t.deepEqual(life, ['connected', 'disconnected 1001'])
  t.is(log.size, 5)
})

test('connected comes before start resolves, and the server finds the peer by its id from clientConnected on', async (t) => {
  const server = await startServer(t)
  const order = []
  server.on('clientConnected', (id, peer) => {
    order.push(server.peer(id) === peer && server.peers.includes(peer) && peer.isOpen)
  })
  server.on('clientDisconnected', (id, _reason, peer) => {
    order.push(server.peer(id) === undefined && !server.peers.includes(peer) && !peer.isOpen)
  })
  const client = makeClient(t, server)
  let connected = false
  client.on('connected', () => {
    connected = client.isConnected && client.serverId === 'server'
  })
  await client.start('client')
  t.true(connected)
  await until(() => order.length === 1)
  await client.stop()
  await until(() => order.length === 2)
  t.deepEqual(order, [true, true])
})

test('a peer keeps its userData, protocol and address', async (t) => {
  const server = await startServer(t)
  const client = makeClient(t, server)
  await client.start('native')
  const peer = await until(() => server.peer('native'))
  t.is(peer.protocol, 'native')
  t.is(peer.userData, undefined)
  peer.userData = { account: 7 }
  t.regex(peer.remoteAddress, /^127\.0\.0\.1:\d+$/)
  const seen = once(server, 'message')
  client.send(Buffer.from('x'))
  const [, , , same] = await seen
  t.deepEqual(same.userData, { account: 7 })
  await connectClassic(t, server.listeningPort, 'classic')
  t.is((await until(() => server.peer('classic'))).protocol, 'classic')
})
