// In a handler: the number of the message on its connection, and when the engine received it.

import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { ZerioClient } from 'zerio'
import { BrokenPath } from '../helpers/broken_path.mjs'
import { ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

/** performance.now() and the engine's clock are compared when zerio is loaded, so they differ by less than this. */
const TOLERANCE_MS = 0.5

for (const [title, options] of [
  ['native', {}],
  ['classic', { protocol: 'classic' }],
  ['manual', ownEngine({ waitStrategy: 'manual' })],
  ['spin', ownEngine({ waitStrategy: 'spin' })]
]) {
  test(`messages of runs and long ones are numbered from 1 on: ${title}`, async (t) => {
    const { protocol, ...shared } = options
    const { server, client, peer } = await startPair(t, shared, { client: protocol ? { protocol } : {} })
    const lengths = [0, 1, 40_000, 7, 65_536, ...Array(500).fill(20), 65_000, 3]
    const seen = { server: [], client: [] }
    const wait = async (condition) => {
      if (shared.waitStrategy !== 'manual') return until(condition)
      while (!condition()) {
        server.poll()
        await new Promise(setImmediate)
      }
    }
    server.onMessage = (from, _buffer, _offset, length) => seen.server.push([from.messageNumber, length])
    client.onMessage = (_buffer, _offset, length) => seen.client.push([client.messageNumber, length])
    const expected = []
    for (let round = 0; round < 3; round++) {
      for (const length of lengths) {
        expected.push([expected.length + 1, length])
        await wait(() => client.send(Buffer.alloc(length)) === 0)
        await wait(() => peer.send(Buffer.alloc(length)) === 0)
      }
    }
    await wait(() => seen.server.length === expected.length && seen.client.length === expected.length)
    t.deepEqual(seen.server, expected)
    t.deepEqual(seen.client, expected)
  })
}

test('each connection has numbers of its own, and those of others are none of its', async (t) => {
  const server = await startServer(t)
  const one = await startClient(t, server, 'one')
  const two = await startClient(t, server, 'two')
  const peers = [await until(() => server.peer('one')), await until(() => server.peer('two'))]
  const seen = { one: [], two: [] }
  server.onMessage = (peer) => {
    const other = peers.find((it) => it !== peer)
    t.is(other.messageNumber, 0)
    t.is(other.receivedAt, Number.NaN)
    seen[peer.id].push(peer.messageNumber)
  }
  for (let i = 0; i < 100; i++) {
    one.send(Buffer.alloc(i % 3))
    if (i % 2 === 0) two.send(Buffer.alloc(10))
    if (i % 7 === 0) await pause(1)
  }
  await until(() => seen.one.length === 100 && seen.two.length === 50)
  t.deepEqual(
    seen.one,
    [...Array(100).keys()].map((i) => i + 1)
  )
  t.deepEqual(
    seen.two,
    [...Array(50).keys()].map((i) => i + 1)
  )
})

test('elsewhere than in a handler there are neither', async (t) => {
  const { server, client, peer } = await startPair(t)
  const isNone = (one) => {
    t.is(one.messageNumber, 0)
    t.is(one.receivedAt, Number.NaN)
  }
  const heard = []
  server.onMessage = (from) => {
    heard.push(from.messageNumber)
    isNone(client)
    queueMicrotask(() => isNone(from))
  }
  isNone(peer)
  isNone(client)
  client.send(Buffer.alloc(1))
  await until(() => heard.length === 1)
  isNone(peer)
  server.on('clientDisconnected', (_id, _reason, gone) => isNone(gone))
  await client.stop()
  await until(() => peer.state === 'closed')
  isNone(peer)
  isNone(client)
})

test('a handler that throws in a run does not disturb the numbers', async (t) => {
  const manual = ownEngine({ waitStrategy: 'manual' })
  const { server, client } = await startPair(t, manual)
  const seen = []
  server.onMessage = (peer) => {
    seen.push(peer.messageNumber)
    if (seen.length % 3 === 0) throw new Error('on purpose')
  }
  for (let i = 0; i < 10; i++) client.send(Buffer.alloc(8))
  client.flush()
  let thrown = 0
  await until(() => {
    try {
      server.poll()
    } catch {
      thrown++
    }
    return seen.length === 10
  })
  t.is(thrown, 3)
  t.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
})

test('the copies of a message listener have numbers, and a connection begins anew', async (t) => {
  const { server, client } = await startPair(t)
  const seen = []
  server.on('message', (_id, _message, _channel, peer) => seen.push(peer.messageNumber))
  client.send(Buffer.alloc(1))
  client.send(Buffer.alloc(1))
  await until(() => seen.length === 2)
  await client.stop()
  await client.start('client')
  client.send(Buffer.alloc(1))
  await until(() => seen.length === 3)
  t.deepEqual(seen, [1, 2, 1])
})

test('the numbers of a session go on over breaks, on both sides', async (t) => {
  const server = await startServer(t, { sessions: true })
  const path = await BrokenPath.start(t, server.listeningPort)
  const options = { session: true, reconnect: { delayMs: 1, jitter: 0 } }
  const client = new ZerioClient({ host: '127.0.0.1', port: path.port }, options)
  t.teardown(() => client.terminate())
  await client.start('client')
  const seen = { server: [], client: [] }
  server.onMessage = (from) => {
    seen.server.push(from.messageNumber)
    from.send(Buffer.alloc(5))
  }
  client.onMessage = () => seen.client.push(client.messageNumber)
  for (let round = 1; round <= 3; round++) {
    for (let i = 0; i < 5; i++) client.send(Buffer.alloc(i * 10))
    await until(() => seen.client.length === round * 5)
    const resumed = new Promise((resolve) => client.once('resumed', resolve))
    path.break()
    await resumed
  }
  const numbers = [...Array(15).keys()].map((i) => i + 1)
  t.deepEqual(seen.server, numbers)
  t.deepEqual(seen.client, numbers)
})

test('receivedAt lies between the sending and the handler, on the clock of performance.now()', async (t) => {
  const { server, client } = await startPair(t)
  let sentAt = 0
  const seen = []
  server.onMessage = (peer, _buffer, _offset, length) => {
    const now = performance.now()
    const at = peer.receivedAt
    t.is(peer.receivedAt, at)
    t.true(at >= sentAt - TOLERANCE_MS && at <= now + TOLERANCE_MS, `${sentAt} ${at} ${now}`)
    seen.push(at)
    peer.send(Buffer.alloc(length))
  }
  client.onMessage = () => {
    t.true(client.receivedAt >= seen.at(-1) - TOLERANCE_MS)
    t.true(client.receivedAt <= performance.now() + TOLERANCE_MS)
  }
  for (const [i, length] of [10, 60_000, 0].entries()) {
    sentAt = performance.now()
    client.send(Buffer.alloc(length))
    await until(() => seen.length === i + 1 && client.counters.messagesReceived === i + 1)
    await pause(3)
  }
  t.true(seen[1] > seen[0] && seen[2] > seen[1])
})

test('messages that came while the thread stood still have waited', async (t) => {
  const { server, client } = await startPair(t)
  const waited = []
  server.onMessage = (peer) => {
    // The second message lies in the same run, and waits for the handler of the first one.
    if (waited.length === 0) for (const end = performance.now() + 20; performance.now() < end; );
    waited.push(performance.now() - peer.receivedAt)
  }
  client.send(Buffer.alloc(1))
  client.send(Buffer.alloc(1))
  await until(() => waited.length === 2)
  t.true(waited[1] >= 20 - TOLERANCE_MS, String(waited))
})

test('messages that a pause held back have their numbers and times', async (t) => {
  // An engine of its own: events of other connections would hide a reading of an old one.
  const { server, client, peer } = await startPair(t, ownEngine({}))
  const seen = []
  const times = []
  let large = 0
  server.onMessage = (from, _buffer, _offset, length) => {
    seen.push(from.messageNumber)
    times.push(from.receivedAt)
    if (length > 20_000) large = from.messageNumber
    if (seen.length % 4 === 0) from.pause()
  }
  for (let i = 0; i < 30; i++) client.send(Buffer.alloc(i === 17 ? 30_000 : 8))
  client.flush()
  await until(() => {
    peer.resume()
    return seen.length === 30
  })
  t.deepEqual(
    seen,
    [...Array(30).keys()].map((i) => i + 1)
  )
  t.is(large, 18)
  t.true(times.every((time) => time > 0 && time <= performance.now()))
})
