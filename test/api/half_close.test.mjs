// Half-closed connections: one side ends its direction, and the other side goes on until it ends or closes, too.

import test from 'ava'
import { SendStatus, ZerioClient } from 'zerio'
import { collect, makeClient, pattern, startClient, startPair, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  dataFrame,
  farewell,
  framesOf,
  OPCODE,
  watch
} from '../helpers/wire_raw.mjs'

const HALF_OPEN = { allowHalfOpen: true }
const bytes = (text) => Buffer.from(text)
const textOf = (messages) => messages.map((one) => one.bytes.toString())

/** Both sides, and what they emit, in order. */
async function startWatched(t, options, each) {
  const pair = await startPair(t, options, each)
  const events = []
  pair.server.on('clientEnded', (id, peer) => events.push(`server: ${id} ended ${peer === pair.peer}`))
  pair.server.on('clientDisconnected', (_id, { code, local }) => events.push(`server: ${code} ${local}`))
  pair.client.on('ended', () => events.push('client: ended'))
  pair.client.on('disconnected', ({ code, local }) => events.push(`client: ${code} ${local}`))
  return { ...pair, events, atServer: collect(pair.server), atClient: collect(pair.client) }
}

for (const protocol of ['native', 'classic']) {
  test(`${protocol}: a client ends, and the server goes on until it ends, too`, async (t) => {
    const sides = { client: { protocol }, server: HALF_OPEN }
    const { client, peer, events, atServer, atClient } = await startWatched(t, {}, sides)
    client.send(bytes('the last one'))
    client.end()
    t.is(client.send(bytes('too late')), SendStatus.Closed)
    t.true(client.isConnected)
    await until(() => events.length === 1)
    t.deepEqual(events, ['server: client ended true'])
    t.deepEqual(textOf(atServer), ['the last one'])
    t.is(peer.state, 'open')
    for (let i = 0; i < 3; i++) {
      t.is(peer.send(bytes(`answer ${i}`)), SendStatus.Sent)
      await until(() => atClient.length === i + 1)
    }
    peer.send(bytes('the end'))
    peer.end()
    await until(() => events.length === 3)
    t.is(textOf(atClient).at(-1), 'the end')
    t.deepEqual(events.slice(1).sort(), ['client: ZERIO_PEER_LEFT false', 'server: ZERIO_PEER_LEFT false'])
    t.false(client.isConnected)
  })

  test(`${protocol}: a server ends, and the client goes on until it ends, too`, async (t) => {
    const sides = { client: { ...HALF_OPEN, protocol } }
    const { server, client, peer, events, atServer, atClient } = await startWatched(t, {}, sides)
    peer.send(bytes('the last one'))
    peer.end()
    peer.end()
    t.is(peer.state, 'ended')
    t.false(peer.isOpen)
    t.is(peer.send(bytes('too late')), SendStatus.Closed)
    t.is(server.broadcast(bytes('too late')), 0)
    await until(() => events.length === 1)
    t.deepEqual(textOf(atClient), ['the last one'])
    for (let i = 0; i < 3; i++) {
      client.send(bytes(`${i}`))
      await until(() => atServer.length === i + 1)
    }
    client.end()
    await until(() => events.length === 3)
    t.is(events[0], 'client: ended')
    t.deepEqual(events.slice(1).sort(), ['client: ZERIO_PEER_LEFT false', 'server: ZERIO_PEER_LEFT false'])
    t.is(peer.state, 'closed')
  })
}

test('without allowHalfOpen an end ends the connection, behind the answers of the batch', async (t) => {
  const { server, client, events, atClient } = await startWatched(t)
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  for (let i = 0; i < 100; i++) client.send(bytes(`${i}`))
  client.end()
  await until(() => events.length === 2)
  t.is(atClient.length, 100)
  t.deepEqual(events.sort(), ['client: ZERIO_PEER_LEFT false', 'server: ZERIO_PEER_LEFT false'])
})

test('a peer of another program that shuts its socket down goes on to get messages', async (t) => {
  const server = await startServer(t, HALF_OPEN)
  const ended = []
  server.on('clientEnded', (id) => ended.push(id))
  const seen = watch(server)
  const arrived = collect(server)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(dataFrame('raw'))
  await until(() => server.peer('raw'))
  raw.write(dataFrame('question'))
  raw.socket.end()
  await until(() => ended.length === 1)
  t.deepEqual(textOf(arrived), ['question'])
  const peer = server.peer('raw')
  peer.send(bytes('answer'))
  peer.close()
  const frames = framesOf(await raw.ends())
  t.is(frames.at(-1).payload.toString(), 'answer')
  await until(() => seen.disconnected.length === 1)
  t.like(seen.disconnected[0].reason, { closeCode: 1000, local: true })
})

test('everything that was accepted leaves before the end, and after the end of the other side', async (t) => {
  const MESSAGES = 30
  const { client, peer, events, atServer, atClient } = await startWatched(t, {}, { server: HALF_OPEN })
  const fill = async (sender, arrived) => {
    for (let i = 0; i < MESSAGES; i++) {
      const message = pattern(60_000, i)
      while (sender.send(message) === SendStatus.BackPressured) await new Promise(setImmediate)
    }
    sender.end()
    await until(() => arrived.length === MESSAGES)
    for (let i = 0; i < MESSAGES; i++) t.true(arrived[i].bytes.equals(pattern(60_000, i)))
  }
  await fill(client, atServer)
  await until(() => events.length === 1)
  await fill(peer, atClient)
  await until(() => events.length === 3)
})

test('a close behind an end says why only in the direction that is open', async (t) => {
  const one = await startWatched(t, {}, { server: HALF_OPEN })
  one.client.end()
  await until(() => one.events.length === 1)
  one.peer.close(4001, 'enough')
  await until(() => one.events.length === 3)
  t.deepEqual(one.events.slice(1).sort(), [
    'client: ZERIO_APPLICATION false',
    'server: ZERIO_APPLICATION true'
  ])

  const other = await startWatched(t, {}, { server: HALF_OPEN })
  other.client.end()
  await until(() => other.events.length === 1)
  const stopped = other.client.stop(4001)
  await until(() => other.events.length === 2)
  t.is(other.events[1], 'client: ZERIO_APPLICATION true')
  // It waits for the other side, at most for lingerMs.
  other.peer.end()
  await stopped
  await until(() => other.events.length === 3)
  t.is(other.events[2], 'server: ZERIO_PEER_LEFT false')
})

test('an end and a close in one turn are a close', async (t) => {
  const { client, events, atServer } = await startWatched(t, {}, { server: HALF_OPEN })
  client.send(bytes('the last one'))
  client.end()
  await client.stop(4002)
  await until(() => events.length === 2)
  t.deepEqual(events.sort(), ['client: ZERIO_APPLICATION true', 'server: ZERIO_APPLICATION false'])
  t.is(atServer.length, 1)
})

test('heartbeats and idle limits say nothing of a side that has ended', async (t) => {
  // Long enough for a machine that is busy with something else until the end is there.
  const options = { heartbeatMs: 100, idleTimeoutMs: 600 }
  const { server, client, peer, events } = await startWatched(t, options, { server: HALF_OPEN })
  const raw = await connectNative(t, server, 'silent')
  client.configure({ idleTimeoutMs: 0 })
  client.end()
  await until(() => events.includes('server: client ended true'))
  peer.configure({ heartbeatMs: 10, idleTimeoutMs: 20 })
  client.configure({ heartbeatMs: 10 })
  await raw.ends()
  const later = await connectNative(t, server, 'silent later')
  await later.ends()
  t.is(peer.state, 'open')
  t.true(client.isConnected)
  // The side that has ended still expects something, and its own limit holds.
  client.setIdleTimeout(20)
  await until(() => events.some((event) => event.startsWith('client: ')))
  t.true(events.includes('client: ZERIO_IDLE_TIMEOUT false'))
})

test('no PING is asked for when one side has ended', async (t) => {
  const { client, peer, events } = await startWatched(t, {}, { server: HALF_OPEN })
  const asked = client.ping()
  client.end()
  await t.throwsAsync(asked, { code: 'ZERIO_NOT_CONNECTED', message: /this side has ended/ })
  await t.throwsAsync(client.ping(), { code: 'ZERIO_NOT_CONNECTED', message: /this side has ended/ })
  await until(() => events.length === 1)
  await t.throwsAsync(peer.ping(), { code: 'ZERIO_NOT_CONNECTED', message: /the other side has ended/ })
})

test('a client that ends does not connect again by itself', async (t) => {
  const server = await startServer(t)
  const client = await startClient(t, server, 'client', { reconnect: { delayMs: 1 } })
  const events = []
  for (const name of ['reconnecting', 'disconnected']) client.on(name, () => events.push(name))
  client.end()
  await until(() => events.length === 1)
  t.deepEqual(events, ['disconnected'])
  t.is(client.state, 'idle')
  await client.start('client')
  t.true(client.isConnected)
  // What breaks then does reconnect.
  server.peer('client').terminate()
  await until(() => events.includes('reconnecting'))
})

test('in a session end is refused, and the session goes on', async (t) => {
  const server = await startServer(t, { sessions: true, ...HALF_OPEN })
  const client = await startClient(t, server, 'client', { session: true, ...HALF_OPEN })
  const peer = await until(() => server.peer('client'))
  for (const side of [client, peer])
    t.throws(() => side.end(), { code: 'ZERIO_HALF_CLOSE_IN_SESSION', message: /close\(\) or stop\(\)/ })
  const arrived = collect(server)
  t.is(client.send(bytes('still here')), SendStatus.Sent)
  await until(() => arrived.length === 1)
})

test('a server that stops ends half-closed connections of both kinds', async (t) => {
  const server = await startServer(t, { ...HALF_OPEN, lingerMs: 100 })
  const seen = watch(server)
  const ended = []
  server.on('clientEnded', (id) => ended.push(id))
  const first = await startClient(t, server, 'first')
  const second = await startClient(t, server, 'second', HALF_OPEN)
  first.end()
  await until(() => ended.length === 1)
  server.peer('second').end()
  const reasons = []
  for (const client of [first, second]) client.on('disconnected', ({ code }) => reasons.push(code))
  await new Promise((resolve) => second.once('ended', resolve))
  await Promise.all([server.stop(), until(() => seen.disconnected.length === 2).then(() => second.end())])
  await until(() => reasons.length === 2)
  t.deepEqual(reasons.sort(), ['ZERIO_GOING_AWAY', 'ZERIO_PEER_LEFT'])
})

test('the system reports that a half-closed connection broke', async (t) => {
  const server = await startServer(t, { ...HALF_OPEN, lingerMs: 10 })
  const seen = watch(server)
  const raw = await connectNative(t, server, 'resets')
  await until(() => server.peer('resets'))
  const peer = server.peer('resets')
  peer.end()
  await until(() => peer.state === 'ended')
  raw.socket.resetAndDestroy()
  await until(() => seen.disconnected.length === 1)
  t.is(seen.disconnected[0].reason.code, 'ECONNRESET')
})

test('end does nothing without a connection, and loses an open claim', async (t) => {
  t.notThrows(() => new ZerioClient(1).end())
  const { server, client, peer, events } = await startWatched(t, {}, { server: HALF_OPEN })
  const idle = makeClient(t, server)
  t.notThrows(() => idle.end())
  client.claim(10)
  client.end()
  t.is(client.commit(), SendStatus.Closed)
  await until(() => events.length === 1)
  peer.close()
  peer.end()
  await until(() => events.length === 3)
  t.notThrows(() => {
    peer.end()
    client.end()
  })
})

test('a violation behind an end ends the connection without a reason', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  const raw = await connectNative(t, server, 'raw')
  const peer = await until(() => server.peer('raw'))
  peer.end()
  t.deepEqual(framesOf((await raw.ends()).subarray(raw.greetingBytes)), [])
  raw.socket.write(farewell(OPCODE.ping, CODE.normal))
  await until(() => seen.disconnected.length === 1)
  t.is(seen.disconnected[0].reason.code, 'ZERIO_PROTOCOL_ERROR')
})

test('who sends to a side that has ended and is gone learns of it', async (t) => {
  const server = await startServer(t, { ...HALF_OPEN, lingerMs: 10 })
  const seen = watch(server)
  const raw = await connectNative(t, server, 'gone')
  const peer = await until(() => server.peer('gone'))
  const ended = new Promise((resolve) => server.once('clientEnded', resolve))
  raw.socket.end()
  await ended
  raw.socket.destroy()
  await until(() => {
    peer.send(bytes('is somebody there?'))
    return seen.disconnected.length === 1
  })
  t.regex(seen.disconnected[0].reason.code, /^(ECONNRESET|EPIPE)$/)
})
