// What servers, clients and peers say of themselves: states and addresses, and a server that listens no more.
import { once } from 'node:events'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { runScript } from '../helpers/child.mjs'
import { collect, makeClient, startClient, startPair, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { connectRaw } from '../helpers/wire_raw.mjs'

test('states from the start to the end', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.is(server.state, 'idle')
  const starting = server.start('server')
  t.is(server.state, 'starting')
  await starting
  t.is(server.state, 'listening')
  const client = makeClient(t, server)
  t.is(client.state, 'idle')
  const connecting = client.start('client')
  t.is(client.state, 'starting')
  client.once('connected', () => t.is(client.state, 'connected'))
  await connecting
  const [peer] = await until(() => server.peers.length > 0 && server.peers)
  t.is(peer.state, 'open')
  const left = once(server, 'clientDisconnected')
  peer.close()
  t.is(peer.state, 'closing')
  await left
  t.is(peer.state, 'closed')
  await until(() => client.state === 'idle')
  await server.stop()
  t.is(server.state, 'idle')
})

test('addresses are those of the two ends, on both sides', async (t) => {
  const { server, client, peer } = await startPair(t)
  t.is(client.remoteAddress, `127.0.0.1:${server.listeningPort}`)
  t.is(peer.localAddress, client.remoteAddress)
  t.is(peer.remoteAddress, client.localAddress)
  t.not(client.localAddress, client.remoteAddress)
  await client.stop()
  await until(() => peer.state === 'closed')
  t.is(peer.localAddress, client.remoteAddress)
  t.regex(client.localAddress, /^127\.0\.0\.1:\d+$/)
})

test('an address that was not asked for while the connection lived is empty', async (t) => {
  const { client, peer } = await startPair(t)
  await client.stop()
  await until(() => peer.state === 'closed')
  t.is(peer.localAddress, '')
})

test('a server that listens no more keeps its peers, and stops with the last one', async (t) => {
  const { server, client } = await startPair(t)
  const port = server.listeningPort
  const other = await startClient(t, server, 'other')
  const newcomer = await connectRaw(t, port)
  const messages = collect(server)
  server.stopListening()
  t.is(server.state, 'serving')
  t.is(server.listeningPort, 0)
  await newcomer.ends()
  await t.throwsAsync(new ZerioClient({ host: '127.0.0.1', port }).start('late'), { code: 'ECONNREFUSED' })
  client.send(Buffer.from('still here'))
  await until(() => messages.length === 1)
  // Another server can have the port meanwhile.
  const next = new ZerioServer({ host: '127.0.0.1', port })
  t.teardown(() => next.stop())
  await next.start('next')
  await Promise.all([client.stop(), other.stop()])
  await until(() => server.state === 'idle')
  await server.start('server')
  t.is(server.state, 'listening')
  server.stopListening()
  await until(() => server.state === 'idle')
})

test('stopListening does nothing when the server does not listen, and stop ends what it left', async (t) => {
  const idle = new ZerioServer(0)
  idle.stopListening()
  t.is(idle.state, 'idle')
  const { server, client } = await startPair(t)
  server.stopListening()
  server.stopListening()
  const disconnected = once(client, 'disconnected')
  const stopped = server.stop()
  t.is(server.state, 'stopping')
  await stopped
  const [reason] = await disconnected
  t.is(reason.code, 'ZERIO_GOING_AWAY')
  t.is(server.state, 'idle')
})

test('a process ends after the last peer of a server that listens no more', async (t) => {
  const { code, stdout } = await runScript(`
    import { ZerioClient, ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    await client.start('client')
    server.on('clientDisconnected', () => console.log('the last'))
    server.stopListening()
    await client.stop()
    process.on('exit', () => console.log(server.state))`)
  t.is(code, 0)
  t.is(stdout, 'the last\nidle\n')
})

test('a server without peers that listens no more stops at once', async (t) => {
  const server = await startServer(t)
  server.stopListening()
  await until(() => server.state === 'idle')
  t.pass()
})
