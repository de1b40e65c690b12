// start and stop: twice, too early, at the same time, again; and what a stopped object still does.

import { once } from 'node:events'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { connectClassic } from '../helpers/classic.mjs'
import { collect, makeClient, ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const code = (name) => ({ instanceOf: ZerioError, code: name })
const bytes = (string) => Buffer.from(string)
const outcome = (promise) =>
  promise.then(
    () => 'resolved',
    (error) => error.code
  )

test('a second start rejects, and the first start goes on', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.stop())
  const first = server.start('server')
  await t.throwsAsync(server.start('server'), { ...code('ZERIO_ALREADY_STARTED'), message: /stop\(\) first/ })
  await first
  const { listeningPort } = server
  await t.throwsAsync(server.start('server'), code('ZERIO_ALREADY_STARTED'))
  t.is(server.listeningPort, listeningPort)

  const client = makeClient(t, server)
  const connecting = client.start('client')
  await t.throwsAsync(client.start('client'), { ...code('ZERIO_ALREADY_STARTED'), message: /stop\(\) first/ })
  await connecting
  await t.throwsAsync(client.start('client'), code('ZERIO_ALREADY_STARTED'))
  t.true(client.isConnected)
})

test('stop resolves when called twice and when called before start', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  const client = new ZerioClient(1)
  await server.stop()
  await client.stop()
  await server.start('server')
  await Promise.all([server.stop(), server.stop()])
  await server.stop()
  t.is(server.listeningPort, 0)
  const pair = await startPair(t)
  await Promise.all([pair.client.stop(), pair.client.stop()])
  await pair.client.stop()
  t.false(pair.client.isConnected)
})

test('start rejects while stop is under way, and works afterwards', async (t) => {
  const { server, client } = await startPair(t)
  const other = await startClient(t, server, 'other')
  const clientStops = client.stop()
  await t.throwsAsync(client.start('client'), { ...code('ZERIO_STOPPING'), message: /await stop/ })
  await clientStops
  const serverStops = server.stop()
  await t.throwsAsync(server.start('server'), { ...code('ZERIO_STOPPING'), message: /await stop/ })
  await serverStops
  t.false(other.isConnected)
  await server.start('server')
  t.true(server.listeningPort > 0)
})

test('before start every property is empty and no method throws', async (t) => {
  const server = new ZerioServer(0)
  t.is(server.listeningPort, 0)
  t.is(server.listeningHost, '')
  t.is(server.peerCount, 0)
  t.deepEqual(server.peers, [])
  t.is(server.peer('x'), undefined)
  t.is(server.engine, undefined)
  t.is(server.send('x', bytes('x')), SendStatus.NotConnected)
  t.is(server.broadcast(bytes('x')), 0)
  t.is(server.poll(), 0)
  t.is(server.counters.accepted, 0)
  server.flush()
  const client = new ZerioClient(1)
  t.false(client.isConnected)
  t.is(client.serverId, '')
  t.is(client.buffer.length, 0)
  t.is(client.view.byteLength, 0)
  t.is(client.send(bytes('x')), SendStatus.NotConnected)
  t.is(client.claim(4), SendStatus.NotConnected)
  t.is(client.poll(), 0)
  t.is(client.counters.messagesSent, 0)
  client.flush()
})

test('after stop every message is refused and no method throws', async (t) => {
  // An engine of its own, because poll() serves all objects of an engine.
  const { server, client, peer } = await startPair(t, ownEngine({}))
  await client.stop()
  await until(() => server.peerCount === 0)
  t.is(client.send(bytes('x')), SendStatus.Closed)
  t.is(client.claim(4), SendStatus.Closed)
  t.is(client.poll(), 0)
  client.flush()
  t.is(peer.send(bytes('x')), SendStatus.Closed)
  t.is(peer.claim(4), SendStatus.Closed)
  t.false(peer.isOpen)
  t.notThrows(() => peer.close())
  t.is(server.send('client', bytes('x')), SendStatus.NotConnected)
  await server.stop()
  t.is(server.send('client', bytes('x')), SendStatus.NotConnected)
  t.is(server.broadcast(bytes('x')), 0)
  t.is(server.poll(), 0)
  t.is(server.listeningPort, 0)
  server.flush()
})

test('a server starts again, on the same object, with the same handlers', async (t) => {
  const server = await startServer(t)
  const got = collect(server)
  for (let round = 1; round <= 5; round++) {
    if (round > 1) await server.start(`server ${round}`)
    const client = await startClient(t, server, `client ${round}`)
    t.is(client.serverId, round > 1 ? `server ${round}` : 'server')
    client.send(bytes(`round ${round}`))
    await until(() => got.length === round)
    t.is(server.counters.accepted, 1)
    const gone = once(client, 'disconnected')
    await server.stop()
    await gone
  }
  t.deepEqual(
    got.map((one) => one.bytes.toString()),
    ['round 1', 'round 2', 'round 3', 'round 4', 'round 5']
  )
})

test('a client starts again, after stop and inside of its disconnected handler', async (t) => {
  const server = await startServer(t)
  const got = collect(server)
  const client = await startClient(t, server, 'a')
  await client.stop()
  await client.start('b')
  client.send(bytes('from b'))
  await until(() => got.length === 1)
  let restarted
  client.once('disconnected', () => {
    restarted = client.start('c')
  })
  server.peer('b').close()
  await until(() => restarted !== undefined)
  await restarted
  t.is(client.send(bytes('from c')), SendStatus.Sent)
  await until(() => got.length === 2)
  t.deepEqual(
    server.peers.map((peer) => peer.id),
    ['c']
  )
})

test('stop during start rejects the start, and nothing stays open', async (t) => {
  const server = new ZerioServer({ host: 'localhost', port: 0 })
  t.teardown(() => server.stop())
  const starting = outcome(server.start('server'))
  await server.stop()
  t.is(await starting, 'ZERIO_STOPPED')
  t.is(server.listeningPort, 0)
  await server.start('server')

  // While the name is resolved, and while the connection is made.
  for (const [host, turns] of [
    ['localhost', 0],
    ['127.0.0.1', 0],
    ['127.0.0.1', 1]
  ]) {
    const client = new ZerioClient({ host, port: server.listeningPort })
    t.teardown(() => client.stop())
    const connecting = outcome(client.start('client'))
    for (let i = 0; i < turns; i++) await Promise.resolve()
    await client.stop()
    t.is(await connecting, 'ZERIO_STOPPED', host)
    t.false(client.isConnected)
    await until(() => server.peerCount === 0 && server.counters.handshakes === 0)
    await client.start('client')
    t.true(client.isConnected)
    await client.stop()
    await until(() => server.peerCount === 0)
  }
})

test('start rejects at once when stop comes while no server answers the handshake', async (t) => {
  const { createServer } = await import('node:net')
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const accepted = once(silent, 'connection')
  const client = new ZerioClient({ host: '127.0.0.1', port: silent.address().port })
  const connecting = outcome(client.start('client'))
  const [socket] = await accepted
  t.teardown(() => {
    socket.destroy()
    silent.close()
  })
  await client.stop()
  t.is(await connecting, 'ZERIO_STOPPED')
})

test('start, stop, start in one turn: the first start rejects, and only the second one connects', async (t) => {
  const server = new ZerioServer({ host: 'localhost', port: 0 })
  t.teardown(() => server.stop())
  const firstListen = outcome(server.start('first'))
  server.stop()
  const secondListen = outcome(server.start('second'))
  t.is(await firstListen, 'ZERIO_STOPPED')
  t.is(await secondListen, 'resolved')
  t.true(server.listeningPort > 0)

  const client = new ZerioClient({ host: 'localhost', port: server.listeningPort })
  t.teardown(() => client.stop())
  const firstConnect = outcome(client.start('one'))
  client.stop()
  const secondConnect = outcome(client.start('two'))
  t.is(await firstConnect, 'ZERIO_STOPPED')
  t.is(await secondConnect, 'resolved')
  t.true(client.isConnected)
  t.is(client.serverId, 'second')
  await until(() => server.peerCount > 0)
  t.deepEqual(
    server.peers.map((peer) => peer.id),
    ['two']
  )
  t.is(server.counters.accepted, 1)
})

test("stop of a client in another client's handler works in the batch in which its WELCOME arrives", async (t) => {
  const server = await startServer(t)
  const clients = ['a', 'b', 'c', 'd'].map((id) => ({ id, client: makeClient(t, server) }))
  let stops
  for (const { client } of clients) {
    client.once('connected', () => {
      stops ??= clients.filter((one) => one.client !== client).map((one) => one.client.stop())
    })
  }
  const outcomes = await Promise.all(clients.map(({ id, client }) => outcome(client.start(id))))
  await Promise.all(stops)
  t.deepEqual(outcomes.sort(), ['ZERIO_STOPPED', 'ZERIO_STOPPED', 'ZERIO_STOPPED', 'resolved'])
  t.is(clients.filter(({ client }) => client.isConnected).length, 1)
  await until(() => server.peerCount === 1 && server.counters.handshakes === 0)
})

test('an object whose start has failed can start again', async (t) => {
  const other = await startServer(t)
  const taken = new ZerioServer({ host: '127.0.0.1', port: other.listeningPort })
  t.teardown(() => taken.stop())
  await t.throwsAsync(taken.start('server'), { ...code('EADDRINUSE'), message: /another port/ })
  await t.throwsAsync(taken.start(''), code('ZERIO_BAD_PEER_ID'))
  await other.stop()
  const client = new ZerioClient({ host: '127.0.0.1', port: taken.listeningPort || 1 })
  await t.throwsAsync(client.start('client'), { ...code('ECONNREFUSED'), message: /start the server first/ })
  t.is(client.send(bytes('x')), SendStatus.NotConnected)
  await t.throwsAsync(client.start('client'), code('ECONNREFUSED'))
  await taken.start('server')
  t.true(taken.listeningPort > 0)
})

test('await using stops a server and a client', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  await server.start('server')
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
  await client.start('client')
  await client[Symbol.asyncDispose]()
  t.false(client.isConnected)
  await server[Symbol.asyncDispose]()
  t.is(server.listeningPort, 0)
})

test('the port is free again when stop has resolved', async (t) => {
  const first = await startServer(t)
  const { listeningPort } = first
  await startClient(t, first)
  await connectClassic(t, listeningPort, 'classic')
  await first.stop()
  const second = new ZerioServer({ host: '127.0.0.1', port: listeningPort })
  t.teardown(() => second.stop())
  await second.start('server')
  t.is(second.listeningPort, listeningPort)
})
