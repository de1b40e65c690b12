// close and stop: codes and reasons that travel, what was accepted is sent, and lingerMs is the end of patience.

import { once } from 'node:events'
import test from 'ava'
import { CloseCode, DisconnectReason, SendStatus, ZerioError } from 'zerio'
import { connectClassic, readFrames } from './helpers/classic.mjs'
import { collect, pattern, startClient, startPair, startServer } from './helpers/link.mjs'
import { until } from './helpers/until.mjs'

for (const [code, reason, name] of [
  [undefined, undefined, 'ZERIO_NORMAL'],
  [1000, 'that is all', 'ZERIO_NORMAL'],
  [4000, '', 'ZERIO_APPLICATION'],
  [4321, 'účet je zrušen', 'ZERIO_APPLICATION'],
  [4999, 'x'.repeat(256), 'ZERIO_APPLICATION']
]) {
  test(`peer.close(${code}, …) tells the client code and reason: ${reason?.slice(0, 20)}`, async (t) => {
    const { server, client, peer } = await startPair(t)
    const atClient = once(client, 'disconnected')
    const atServer = once(server, 'clientDisconnected')
    peer.close(code, reason)
    t.is(server.peer('client'), peer)
    const [heard] = await atClient
    const [id, told, same] = await atServer
    t.true(heard instanceof DisconnectReason)
    t.is(heard.closeCode, code ?? 1000)
    t.is(heard.code, name)
    t.is(heard.errno, 0)
    t.false(heard.local)
    if (reason) t.is(heard.message, reason)
    else t.regex(heard.message, /\w+ \w+/)
    t.is(String(heard), heard.message)
    t.is(id, 'client')
    t.is(same, peer)
    t.is(told.closeCode, code ?? 1000)
    t.true(told.local)
  })
}

test('a bad code or reason throws, and the connection lives on', async (t) => {
  const { server, client, peer } = await startPair(t)
  const bad = { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT' }
  for (const code of [0, 1, 999, 1001, 1014, 2000, 3999, 5000, 4000.5, -4000, '4000', null, Number.NaN]) {
    t.throws(() => peer.close(code), { ...bad, message: /1000 or an integer from 4000 to 4999/ })
  }
  for (const reason of [null, 5, {}, Buffer.from('x'), 'x'.repeat(257), 'ž'.repeat(129)]) {
    t.throws(() => peer.close(4000, reason), { ...bad, message: /at most 256 bytes/ })
  }
  const got = collect(server)
  client.send(Buffer.from('alive'))
  await until(() => got.length === 1)
  t.true(peer.isOpen)
})

test('the first close counts', async (t) => {
  const { client, peer } = await startPair(t)
  const gone = once(client, 'disconnected')
  peer.close(4001, 'first')
  peer.close(4002, 'second')
  const [reason] = await gone
  t.is(reason.closeCode, 4001)
  t.is(reason.message, 'first')
})

test('client.stop tells the server that all is well', async (t) => {
  const { server, client } = await startPair(t)
  const atServer = once(server, 'clientDisconnected')
  const atClient = once(client, 'disconnected')
  await client.stop()
  const [, reason] = await atServer
  t.is(reason.code, 'ZERIO_NORMAL')
  t.false(reason.local)
  const [own] = await atClient
  t.is(own.closeCode, CloseCode.Normal)
  t.true(own.local)
})

test('a peer that ends its connection without a word is ZERIO_PEER_LEFT, one that breaks it has an errno', async (t) => {
  const server = await startServer(t)
  const polite = await connectClassic(t, server.listeningPort, 'polite')
  await until(() => server.peer('polite'))
  let gone = once(server, 'clientDisconnected')
  polite.resume()
  polite.end()
  const [, left] = await gone
  t.is(left.code, 'ZERIO_PEER_LEFT')
  t.false(left.local)
  const rude = await connectClassic(t, server.listeningPort, 'rude')
  await until(() => server.peer('rude'))
  gone = once(server, 'clientDisconnected')
  rude.resetAndDestroy()
  const [, broke] = await gone
  t.is(broke.code, 'ECONNRESET')
  t.is(broke.closeCode, 2001)
  t.true(broke.errno > 0)
  t.regex(broke.message, /ECONNRESET/)
})

for (const end of ['peer.close', 'server.stop', 'client.stop']) {
  test(`everything accepted is sent before the end, also a large backlog to a slow reader: ${end}`, async (t) => {
    const options = {
      socketSendBytes: 16384,
      socketReceiveBytes: 16384,
      maxMessageLength: 50_000,
      sendRingBytes: 4 << 20
    }
    const { server, client, peer } = await startPair(t, { ...options, lingerMs: 20_000 })
    const [sender, receiver] = end === 'client.stop' ? [client, server] : [peer, client]
    const got = []
    const take = (buffer, offset, length) => {
      const index = buffer.readUInt32LE(offset)
      const expected = pattern(length, index)
      expected.writeUInt32LE(index)
      got.push(expected.equals(buffer.subarray(offset, offset + length)) ? index : -1)
    }
    receiver.onMessage = receiver === client ? take : (_peer, ...message) => take(...message)
    const gone = once(receiver, receiver === client ? 'disconnected' : 'clientDisconnected')
    let sent = 0
    for (; sent < 60; sent++) {
      const bytes = pattern(40_000 + sent, sent)
      bytes.writeUInt32LE(sent)
      t.is(sender.send(bytes), SendStatus.Sent)
    }
    if (end === 'peer.close') peer.close()
    else await (end === 'client.stop' ? client : server).stop()
    await gone
    t.deepEqual(
      got,
      Array.from({ length: sent }, (_, index) => index)
    )
  })
}

test('server.stop sends what was accepted to a classic peer that begins to read only then', async (t) => {
  const server = await startServer(t, { lingerMs: 20_000, socketSendBytes: 16384, sendRingBytes: 4 << 20 })
  const socket = await connectClassic(t, server.listeningPort, 'late')
  const peer = await until(() => server.peer('late'))
  let sent = 0
  while (sent < 100 && peer.send(pattern(40_000, sent)) === SendStatus.Sent) sent++
  const stopped = server.stop()
  const got = []
  readFrames(socket, (payload) => got.push(Buffer.from(payload)))
  await stopped
  await until(() => got.length === sent + 1)
  t.true(got.slice(1).every((bytes, index) => bytes.equals(pattern(40_000, index))))
})

for (const lingerMs of [0, 100]) {
  test(`lingerMs ${lingerMs} bounds stop with a peer that never reads`, async (t) => {
    const server = await startServer(t, { lingerMs, socketSendBytes: 16384 })
    const socket = await connectClassic(t, server.listeningPort, 'stuck')
    const peer = await until(() => server.peer('stuck'))
    const gone = once(server, 'clientDisconnected')
    for (let i = 0; i < 2000; i++) peer.send(pattern(60_000))
    t.true(peer.counters.backPressured > 0)
    const closed = once(socket, 'close')
    const begin = Date.now()
    await server.stop()
    // The upper bound is generous: it tells patience from hanging, and measures no speed.
    t.true(Date.now() - begin < lingerMs + 5000)
    t.true(Date.now() - begin >= lingerMs - 20)
    const [, reason] = await gone
    t.is(reason.code, 'ZERIO_GOING_AWAY')
    socket.resume()
    await closed
  })
}

test('lingerMs bounds stop with a peer that reads but never ends its connection', async (t) => {
  const server = await startServer(t, { lingerMs: 50 })
  const { connect } = await import('node:net')
  const socket = connect({ port: server.listeningPort, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.resume()
  socket.write(Buffer.from([1, 0, 0, 0, 65]))
  await until(() => server.peer('A'))
  await server.stop()
  t.is(server.peerCount, 0)
})

test('server.stop ends connections that have not said who they are', async (t) => {
  const server = await startServer(t)
  const { connect } = await import('node:net')
  const sockets = Array.from({ length: 3 }, () => connect(server.listeningPort, '127.0.0.1'))
  const closed = sockets.map((socket) => {
    socket.on('error', () => {})
    socket.resume()
    return new Promise((resolve) => socket.once('close', resolve))
  })
  await until(() => server.counters.handshakes === 3)
  await server.stop()
  await Promise.all(closed)
  t.is(server.counters.handshakes, 0)
})

test('one id leaves and comes back: the old handle stays closed', async (t) => {
  const { server, client, peer } = await startPair(t)
  await client.stop()
  await until(() => server.peerCount === 0)
  const again = await startClient(t, server, 'client')
  const got = collect(again)
  const fresh = await until(() => server.peer('client'))
  t.not(fresh, peer)
  t.is(peer.send(Buffer.from('old')), SendStatus.Closed)
  t.is(peer.claim(3), SendStatus.Closed)
  peer.close(4000)
  t.is(fresh.send(Buffer.from('new')), SendStatus.Sent)
  await until(() => got.length === 1)
  t.is(got[0].bytes.toString(), 'new')
  t.true(fresh.isOpen)
})
