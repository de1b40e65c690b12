// Options that change while there is a connection: what waits follows them, whether they get shorter or longer, begin or end.

import test from 'ava'
import { ZerioClient, ZerioError } from 'zerio'
import { BrokenPath } from '../helpers/broken_path.mjs'
import { makeClient, startClient, startPair, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { connectNative, framesOf, OPCODE, watch } from '../helpers/wire_raw.mjs'

const LONG_MS = 3_600_000

async function connectSilent(t, options) {
  const server = await startServer(t, options)
  const seen = watch(server)
  const raw = await connectNative(t, server, 'silent')
  const peer = await until(() => server.peer('silent'))
  return { server, seen, raw, peer }
}

for (const idleTimeoutMs of [0, LONG_MS]) {
  test(`an idle limit of ${idleTimeoutMs} becomes a short one`, async (t) => {
    const { seen, peer } = await connectSilent(t, { idleTimeoutMs })
    peer.configure({ idleTimeoutMs: 20 })
    await until(() => seen.disconnected.length === 1)
    t.is(seen.disconnected[0].reason.code, 'ZERIO_IDLE_TIMEOUT')
  })

  test(`a short idle limit becomes one of ${idleTimeoutMs}`, async (t) => {
    const { server, seen, peer } = await connectSilent(t, { idleTimeoutMs: 200 })
    peer.configure({ idleTimeoutMs })
    await connectNative(t, server, 'silent, too')
    await until(() => seen.disconnected.length > 0)
    t.deepEqual(
      seen.disconnected.map(({ id }) => id),
      ['silent, too']
    )
  })

  test(`heartbeats every ${idleTimeoutMs} ms become short ones, and end`, async (t) => {
    const { server, raw, seen, peer } = await connectSilent(t, { heartbeatMs: idleTimeoutMs })
    peer.configure({ heartbeatMs: 30 })
    const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
    t.deepEqual(
      frames.map(({ channel }) => channel),
      [OPCODE.ping, OPCODE.ping, OPCODE.ping, OPCODE.close]
    )
    await until(() => seen.disconnected.length === 1)
    await connectNative(t, server, 'next')
    const next = await until(() => server.peer('next'))
    next.configure({ heartbeatMs: 10 })
    await until(() => server.engine.counters.sends > 0)
    next.configure({ heartbeatMs: idleTimeoutMs })
    // Longer than the four heartbeats after which it would have ended.
    const other = await connectNative(t, server, 'other')
    ;(await until(() => server.peer('other'))).configure({ heartbeatMs: 20 })
    await other.ends()
    t.true(next.isOpen)
  })
}

test('a client changes its present connection and the later ones', async (t) => {
  const server = await startServer(t)
  const reasons = []
  const client = makeClient(t, server)
  client.on('disconnected', (reason) => reasons.push(reason.code))
  client.configure({ idleTimeoutMs: LONG_MS })
  await client.start('client')
  client.configure({ idleTimeoutMs: 20 })
  await until(() => reasons.length === 1)
  await client.start('client')
  await until(() => reasons.length === 2)
  client.configure({ idleTimeoutMs: 0 })
  await client.start('client')
  await startClient(t, server, 'short', { idleTimeoutMs: 60 }).then((other) =>
    until(() => !other.isConnected)
  )
  t.deepEqual(reasons, ['ZERIO_IDLE_TIMEOUT', 'ZERIO_IDLE_TIMEOUT'])
  t.true(client.isConnected)
})

for (const side of ['server', 'client']) {
  test(`in a session a change of the ${side} holds for the next connection`, async (t) => {
    const server = await startServer(t, { sessions: true, idleTimeoutMs: LONG_MS })
    const path = await BrokenPath.start(t, server.listeningPort)
    const options = { session: true, reconnect: { delayMs: 1 } }
    const client = new ZerioClient({ host: '127.0.0.1', port: path.port }, options)
    t.teardown(() => client.terminate())
    await client.start('client')
    const changed = side === 'client' ? client : await until(() => server.peer('client'))
    const events = []
    client.on('resumed', () => events.push('resumed'))
    client.on('disconnected', ({ code }) => events.push(code))
    changed.configure({ idleTimeoutMs: 300 })
    path.break()
    await until(() => events.length === 2)
    t.deepEqual(events, ['resumed', 'ZERIO_IDLE_TIMEOUT'])
  })
}

test('lingerMs counts for a connection that is closing', async (t) => {
  const { server, client, peer } = await startPair(t, { lingerMs: LONG_MS / 6 })
  const raw = await connectNative(t, server, 'does not read')
  raw.socket.pause()
  const deaf = await until(() => server.peer('does not read'))
  const bytes = Buffer.alloc(60_000)
  await until(() => {
    while (deaf.send(bytes) === 0);
    return deaf.pendingBytes > 200_000
  })
  const ended = server.counters.ended
  deaf.close()
  await until(() => server.counters.ended === ended + 1)
  deaf.configure({ lingerMs: 1 })
  await until(() => server.counters.ended === ended)
  t.true(peer.isOpen)
  t.true(client.isConnected)
})

test('a peer that is gone, and a client that was not started, can be changed', async (t) => {
  const { server, client, peer } = await startPair(t)
  await client.stop()
  await until(() => server.peerCount === 0)
  const next = await startClient(t, server, 'next')
  t.notThrows(() => peer.configure({ idleTimeoutMs: 10, noDelay: false }))
  t.notThrows(() => client.configure({ idleTimeoutMs: 10 }))
  t.notThrows(() => new ZerioClient(1).configure({ lingerMs: 0 }))
  await startClient(t, server, 'short', { idleTimeoutMs: 40 }).then((short) =>
    until(() => !short.isConnected)
  )
  t.true(next.isConnected)
})

test('what cannot change is refused, and then nothing has changed', async (t) => {
  const { client, peer } = await startPair(t)
  const refused = [
    [{ maxPeers: 3 }, /heartbeatMs.*and no "maxPeers"/],
    [{ backend: 'epoll' }, /and no "backend"/],
    [{ nonsense: 3 }, /and no "nonsense"/],
    [{ idleTimeoutMs: 20, heartbeatMs: 9 }, /"heartbeatMs" must be/],
    [{ idleTimeoutMs: 20, noDelay: 1 }, /"noDelay" must be a boolean/],
    [undefined, /needs an object/],
    [20, /needs an object/]
  ]
  for (const one of [client, peer])
    for (const [options, message] of refused)
      t.throws(() => one.configure(options), { instanceOf: ZerioError, code: 'ZERIO_BAD_OPTION', message })
  for (const one of [client, peer])
    t.throws(() => one.setIdleTimeout(5), { code: 'ZERIO_BAD_OPTION', message: /"idleTimeoutMs"/ })
  for (const one of [client, peer])
    t.throws(() => one.setIdleTimeout(), { code: 'ZERIO_BAD_OPTION', message: /needs a time/ })
  await until(() => client.ping().then(() => true))
  t.true(peer.isOpen)
  t.notThrows(() => peer.configure({}))
  t.notThrows(() => peer.configure({ lingerMs: undefined }))
})
