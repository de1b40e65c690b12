// Idle limits: a connection from which nothing comes ends, whatever its protocol; any byte keeps a connection.

import test from 'ava'
import { ZerioClient } from 'zerio'
import { ownEngine, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  dataFrame,
  farewell,
  framesOf,
  OPCODE,
  startRawServer,
  watch,
  welcome
} from '../helpers/wire_raw.mjs'

async function connectClassic(t, server, id) {
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(dataFrame(id))
  await raw.receives(4 + id.length)
  return raw
}

test('idleTimeoutMs ends silent classic peers, however many there are', async (t) => {
  const server = await startServer(t, { idleTimeoutMs: 50, maxPeers: 20, lingerMs: 50 })
  const seen = watch(server)
  for (let i = 0; i < 20; i++) await connectClassic(t, server, `silent ${i}`)
  await until(() => seen.disconnected.length === 20 && server.peerCount === 0)
  for (const { reason } of seen.disconnected) {
    t.like(reason, { code: 'ZERIO_IDLE_TIMEOUT', closeCode: 1023, local: false })
  }
  t.is(server.counters.idleTimeouts, 20)
  t.is(server.counters.heartbeatTimeouts, 0)
  t.is(server.counters.protocolErrors, 0)
  await connectClassic(t, server, 'the next')
})

test('a silent native peer receives the reason, and not before its time', async (t) => {
  const server = await startServer(t, { idleTimeoutMs: 100 })
  const before = performance.now()
  const raw = await connectNative(t, server)
  const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
  t.true(performance.now() - before >= 99)
  t.deepEqual(frames, framesOf(farewell(OPCODE.close, CODE.idleTimeout)))
})

test('a peer that sends anything stays, and so does one that only answers heartbeats', async (t) => {
  const server = await startServer(t, { idleTimeoutMs: 200, heartbeatMs: 50 })
  const seen = watch(server)
  const client = await startClient(t, server, 'answers', { idleTimeoutMs: 200 })
  const classic = await connectClassic(t, server, 'talks')
  const { counters } = server
  const talking = setInterval(() => classic.write(dataFrame('')), 20)
  await connectClassic(t, server, 'silent')
  await connectClassic(t, server, 'silent, too')
  await until(() => counters.idleTimeouts === 2)
  const later = await connectClassic(t, server, 'silent later')
  await later.ends()
  clearInterval(talking)
  t.is(counters.idleTimeouts, 3)
  t.deepEqual(seen.disconnected.map(({ id }) => id).sort(), ['silent', 'silent later', 'silent, too'])
  t.true(client.isConnected)
})

test('a client disconnects from a silent server, native or classic', async (t) => {
  for (const protocol of ['native', 'classic']) {
    const rawServer = await startRawServer(t)
    const client = new ZerioClient(
      { host: '127.0.0.1', port: rawServer.port },
      { protocol, idleTimeoutMs: 40, lingerMs: 50 }
    )
    const reasons = []
    client.on('disconnected', (reason) => reasons.push(reason))
    const starting = client.start('client')
    const raw = await rawServer.next()
    raw.write(protocol === 'native' ? welcome() : dataFrame('client'))
    await starting
    await until(() => reasons.length === 1)
    t.like(reasons[0], { code: 'ZERIO_IDLE_TIMEOUT', closeCode: 1023 })
    const frames = await raw.framesUntilEnd()
    if (protocol === 'native')
      t.deepEqual(frames.at(-1), framesOf(farewell(OPCODE.close, CODE.idleTimeout))[0])
    raw.socket.end()
  }
})

test('a silent peer stays with the default options', async (t) => {
  const server = await startServer(t)
  const strict = await startServer(t, { idleTimeoutMs: 50 })
  await connectNative(t, server, 'native')
  await connectClassic(t, server, 'classic')
  await (await connectNative(t, strict)).ends()
  t.is(server.peerCount, 2)
})

test('many silent peers do not wake the thread one by one', async (t) => {
  const PEERS = 200
  const server = await startServer(t, ownEngine({ heartbeatMs: 3_200, idleTimeoutMs: 86_400_000 }))
  for (let i = 0; i < PEERS; i++) await connectNative(t, server, `silent ${i}`)
  // After the first 20 ms of the peers, the first look finds that bytes came from each of them.
  const { counters } = server.engine
  await new Promise((resolve) => setTimeout(resolve, 100))
  const before = counters.polls
  await new Promise((resolve) => setTimeout(resolve, 600))
  t.true(counters.polls - before < PEERS / 4, `${counters.polls - before} polls`)
  t.is(counters.sends, PEERS)
})
