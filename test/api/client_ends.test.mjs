// How a client ends its connection: with a code and a reason, or at once.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioError } from 'zerio'
import { startPair } from '../helpers/link.mjs'
import { hello, startRawServer, welcome } from '../helpers/wire_raw.mjs'

test('stop hands the server a code and a reason', async (t) => {
  const { server, client } = await startPair(t)
  const left = once(server, 'clientDisconnected')
  const disconnected = once(client, 'disconnected')
  client.send(Buffer.from('last words'))
  const messages = []
  server.on('message', (_id, message) => messages.push(message.toString()))
  await client.stop(4321, 'gone for lunch')
  const [, reason] = await left
  t.is(reason.closeCode, 4321)
  t.is(reason.code, 'ZERIO_APPLICATION')
  t.is(reason.message, 'gone for lunch')
  t.false(reason.local)
  t.deepEqual(messages, ['last words'])
  const [own] = await disconnected
  t.is(own.closeCode, 4321)
  t.is(own.message, 'gone for lunch')
  t.true(own.local)
})

test('codes and reasons that cannot travel are refused, and nothing ends', async (t) => {
  const { client } = await startPair(t)
  const bad = { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT' }
  for (const args of [[1001], [3999], [5000], ['4000'], [1000, 'x'.repeat(257)], [1000, 5]])
    t.throws(() => client.stop(...args), bad, String(args))
  t.true(client.isConnected)
})

test('terminate resets the connection at once, with what was not sent', async (t) => {
  const { server, client, peer } = await startPair(t, { lingerMs: 600_000 })
  const left = once(server, 'clientDisconnected')
  const disconnected = once(client, 'disconnected')
  client.terminate()
  t.is(client.send(Buffer.from('late')), SendStatus.Closed)
  const [own] = await disconnected
  t.is(own.code, 'ZERIO_ABORTED')
  t.true(own.local)
  const [, reason] = await left
  t.is(reason.code, 'ECONNRESET')
  await client.stop()
  t.is(client.state, 'idle')
  t.false(peer.isOpen)
})

test('terminate ends a stop that waits for a server that does not read', async (t) => {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port }, { lingerMs: 600_000 })
  t.teardown(() => client.terminate())
  const start = client.start('client')
  const connection = await raw.next()
  await connection.receives(hello({ id: 'client' }).length)
  connection.write(welcome())
  await start
  connection.socket.pause()
  const bytes = Buffer.alloc(60_000)
  for (let refused = 0; refused < 2; ) {
    // The sockets are full when they stay full.
    if (client.send(bytes) === SendStatus.Sent) refused = 0
    else if (++refused < 2) await pause(20)
  }
  const disconnected = once(client, 'disconnected')
  const stopped = client.stop()
  client.terminate()
  await stopped
  const [reason] = await disconnected
  t.is(reason.code, 'ZERIO_NORMAL')
  t.is(client.state, 'idle')
})

test('terminate of an idle or starting client is a stop', async (t) => {
  const client = new ZerioClient({ host: 'silent.test', port: 1 }, { lookup: () => {} })
  client.terminate()
  const start = t.throwsAsync(client.start('id'), { code: 'ZERIO_STOPPED' })
  client.terminate()
  await start
  t.is(client.state, 'idle')
})
