// Counters: exact for a known exchange, readable without garbage, and still there after the end.

import test from 'ava'
import { ConnectionCounters, EngineCounters, SendStatus, ServerCounters } from 'zerio'
import { collect, makeClient, ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { TOPICS } from '../helpers/wire_raw.mjs'

const HEADER = 4
// Both have the extension TOPICS.
const HELLO = HEADER + 16 + 'client'.length + TOPICS.length
const WELCOME = HEADER + 16 + 'server'.length + TOPICS.length
const CLOSE = HEADER + 2

/** Checks that the names of the getters are the names in toJSON and in `names`, in the order of copyTo. */
function checkNames(t, counters, Class) {
  t.true(counters instanceof Class)
  const target = new Float64Array(counters.names.length)
  t.is(counters.copyTo(target), target)
  const json = counters.toJSON()
  t.deepEqual(Object.keys(json), [...counters.names])
  counters.names.forEach((name, index) => {
    // The engine itself goes on counting.
    if (Class === EngineCounters) t.true(target[index] <= json[name] && json[name] <= counters[name])
    else t.deepEqual([target[index], json[name]], [counters[name], counters[name]], name)
  })
}

test('both sides of a connection count the same messages and bytes', async (t) => {
  const { server, client, peer } = await startPair(t, ownEngine({}))
  const atServer = collect(server)
  const atClient = collect(client)
  for (let i = 0; i < 10; i++) client.send(Buffer.alloc(100))
  client.claim(50)
  client.commit()
  client.claim(50)
  client.abort()
  t.is(client.send(Buffer.alloc(65_537)), SendStatus.TooLarge)
  for (let i = 0; i < 3; i++) peer.send(Buffer.alloc(7))
  await until(() => atServer.length === 11 && atClient.length === 3)
  const up = 10 * (100 + HEADER) + 50 + HEADER
  const down = 3 * (7 + HEADER)
  const { sends, receives, ...ofClient } = client.counters.toJSON()
  t.deepEqual(ofClient, {
    messagesSent: 11,
    backPressured: 0,
    messagesReceived: 3,
    bytesReceived: WELCOME + down,
    bytesSent: HELLO + up
  })
  t.true(sends >= 2 && receives >= 2)
  const ofPeer = peer.counters.toJSON()
  t.is(ofPeer.messagesSent, 3)
  t.is(ofPeer.messagesReceived, 11)
  t.is(ofPeer.bytesReceived, HELLO + up)
  t.is(ofPeer.bytesSent, WELCOME + down)
  const ofServer = server.counters.toJSON()
  t.deepEqual(
    { ...ofServer },
    {
      accepted: 1,
      acceptErrors: 0,
      handshakes: 0,
      peers: 1,
      connected: 1,
      disconnected: 0,
      refused: 0,
      protocolErrors: 0,
      duplicateIds: 0,
      handshakeTimeouts: 0,
      tooManyHandshakes: 0,
      serverFull: 0,
      messagesReceived: 11,
      bytesReceived: HELLO + up,
      bytesSent: WELCOME + down,
      heartbeatTimeouts: 0,
      idleTimeouts: 0,
      ended: 0,
      lingersCut: 0,
      newcomersEvicted: 0,
      suspended: 0,
      resumed: 0,
      sessionsLost: 0
    }
  )
  const ofEngine = server.engine.counters.toJSON()
  t.is(ofEngine.messagesReceived, 14)
  t.is(ofEngine.bytesReceived, HELLO + WELCOME + up + down)
  t.is(ofEngine.bytesSent, HELLO + WELCOME + up + down)
  t.is(ofEngine.corruptions, 0)
  t.true(ofEngine.polls > 0 && ofEngine.events > 0)
  checkNames(t, client.counters, ConnectionCounters)
  checkNames(t, peer.counters, ConnectionCounters)
  checkNames(t, server.counters, ServerCounters)
  checkNames(t, server.engine.counters, EngineCounters)
})

test('counters stay readable and unchanged after the end', async (t) => {
  const { server, client, peer } = await startPair(t)
  const got = collect(server)
  client.send(Buffer.alloc(10))
  await until(() => got.length === 1)
  const { counters } = client
  await client.stop()
  await until(() => server.peerCount === 0)
  const ofClient = counters.toJSON()
  const ofPeer = peer.counters.toJSON()
  t.is(ofClient.messagesSent, 1)
  t.is(ofClient.bytesSent, HELLO + 10 + HEADER + CLOSE)
  t.is(ofPeer.bytesReceived, ofClient.bytesSent)
  t.is(ofPeer.messagesReceived, 1)

  // Other connections use the slot from now on.
  for (let i = 0; i < 20; i++) {
    const other = await startClient(t, server, `other ${i}`)
    for (let j = 0; j < 5; j++) other.send(Buffer.alloc(1000))
  }
  await until(() => got.length === 101)
  t.deepEqual(counters.toJSON(), ofClient)
  t.deepEqual(peer.counters.toJSON(), ofPeer)

  const ofServer = server.counters
  await server.stop()
  t.is(ofServer.connected, 21)
  t.is(ofServer.disconnected, 21)
  t.is(ofServer.peers, 0)
  t.is(ofServer.messagesReceived, 101)
  t.is(server.counters.connected, 21)
  const still = ofServer.toJSON()
  await server.start('again')
  await startClient(t, server, 'new')
  await until(() => server.counters.connected === 1)
  t.deepEqual(ofServer.toJSON(), still)
})

test('a client counts anew with each connection', async (t) => {
  const { client } = await startPair(t)
  client.send(Buffer.alloc(10))
  await client.stop()
  t.is(client.counters.messagesSent, 1)
  await client.start('again')
  t.is(client.counters.messagesSent, 0)
})

test('refusals are counted by their kind', async (t) => {
  const server = await startServer(t, { maxPeers: 2 })
  await startClient(t, server, 'a')
  await t.throwsAsync(makeClient(t, server).start('a'), { code: 'ZERIO_DUPLICATE_PEER_ID' })
  await startClient(t, server, 'b')
  await t.throwsAsync(makeClient(t, server).start('c'), { code: 'ZERIO_SERVER_FULL' })
  await until(() => server.counters.handshakes === 0)
  const { accepted, connected, refused, duplicateIds, serverFull, peers } = server.counters
  t.deepEqual(
    { accepted, connected, refused, duplicateIds, serverFull, peers },
    { accepted: 4, connected: 2, refused: 2, duplicateIds: 1, serverFull: 1, peers: 2 }
  )
})
