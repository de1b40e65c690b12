// Topics: who is in them, what their members get and in which order, and what becomes of members that read too slowly.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { SendStatus, TopicCounters, ZerioServer } from 'zerio'
import { connectClassic } from '../helpers/classic.mjs'
import { randomFrom, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

// Small kernel buffers, so that little data makes a jam.
const small = { socketSendBytes: 16384, maxMessageLength: 8192, sendRingBytes: 65536 }
const text = (bytes) => Buffer.from(bytes)

/** A server with clients, of each of which the messages are collected as texts. */
async function startAll(t, ids, options) {
  const server = await startServer(t, { lingerMs: 200, ...options })
  const all = { server, clients: {}, peers: {}, messages: {} }
  for (const id of ids) {
    const messages = []
    all.messages[id] = messages
    all.clients[id] = await startClient(t, server, id, options, (client) => {
      client.onMessage = (buffer, offset, length, channel) =>
        messages.push(buffer.toString('latin1', offset, offset + length) + (channel > 0 ? `@${channel}` : ''))
    })
    all.peers[id] = await until(() => server.peer(id))
  }
  return all
}

/** Publishes until this client, which is paused, has let its ring get full. */
async function fill(server, peer) {
  const bytes = Buffer.alloc(8000)
  for (let refusals = 0; refusals < 60; ) {
    if (peer.send(bytes) === SendStatus.Sent) refusals = 0
    else {
      refusals++
      await sleep(2)
    }
  }
  server.flush()
}

test('peers join and leave', async (t) => {
  const { server, peers } = await startAll(t, ['a', 'b'])
  const topic = server.topic('fx')
  t.is(topic.name, 'fx')
  t.true(topic.isOpen)
  t.is(topic.size, 0)
  t.false(topic.has(peers.a))
  t.true(topic.add(peers.a))
  t.false(topic.add(peers.a))
  t.true(topic.add(peers.b))
  t.is(topic.size, 2)
  t.true(topic.has(peers.a))
  t.true(topic.delete(peers.a))
  t.false(topic.delete(peers.a))
  t.false(topic.has(peers.a))
  t.true(topic.has(peers.b))
  t.is(topic.size, 1)
})

test('members get what is published, in all forms, and others do not', async (t) => {
  const { server, clients, peers, messages } = await startAll(t, ['a', 'b', 'c'])
  const topic = server.topic('fx')
  t.is(topic.publish(text('no member')), 0)
  topic.add(peers.a)
  topic.add(peers.b)
  t.is(topic.publish(text('whole')), 2)
  t.is(topic.publish(text('channel'), 5), 2)
  t.is(topic.publish(text('a part of it'), 2, 4), 2)
  t.is(topic.publish(text('a part of it'), 2, 4, 127), 2)
  t.is(topic.publishExcept(peers.a, text('but a')), 1)
  t.is(topic.publishExcept(peers.a, text('-but a'), 1, 5, 3), 1)
  t.is(topic.publishExcept(peers.c, text('but c')), 2)
  t.is(topic.publish(Buffer.alloc(0)), 2)
  const all = ['whole', 'channel@5', 'part', 'part@127']
  await until(() => messages.a.length === 6 && messages.b.length === 8)
  t.deepEqual(messages.a, [...all, 'but c', ''])
  t.deepEqual(messages.b, [...all, 'but a', 'but a@3', 'but c', ''])
  t.deepEqual(messages.c, [])
  t.deepEqual(topic.counters.toJSON(), { published: 9, delivered: 14, skipped: 0, conflated: 0, closed: 0 })
  t.true(topic.counters instanceof TopicCounters)
  t.is(clients.a.counters.messagesReceived, 6)
})

test('a message is written once: claim, commit, abort', async (t) => {
  const { server, peers, messages } = await startAll(t, ['a', 'b'])
  const topic = server.topic('fx')
  topic.add(peers.a)
  topic.add(peers.b)
  const at = topic.claim(8, 3)
  topic.view.setFloat64(at, 1.5, true)
  t.throws(() => topic.claim(1), { code: 'ZERIO_CLAIM_OPEN' })
  // The claim is that of the topic alone.
  t.is(topic.publish(text('between')), 2)
  t.is(topic.commit(), 2)
  topic.claim(100)
  topic.abort()
  t.throws(() => topic.commit(), { code: 'ZERIO_NO_CLAIM' })
  t.throws(() => topic.abort(), { code: 'ZERIO_NO_CLAIM' })
  t.is(topic.claim(65_537), SendStatus.TooLarge)
  topic.buffer.fill('l', topic.claim(65_536))
  t.is(topic.commit(), 2)
  await until(() => messages.a.length === 3 && messages.b.length === 3)
  for (const id of ['a', 'b']) {
    t.is(messages[id][0], 'between')
    t.is(Buffer.from(messages[id][1].slice(0, 8), 'latin1').readDoubleLE(), 1.5)
    t.is(messages[id][1].slice(8), '@3')
    t.is(messages[id][2], 'l'.repeat(65_536))
  }
})

test('a peer gets the messages of its topics and its own in the order of the calls', async (t) => {
  const { server, peers, messages } = await startAll(t, ['a', 'b'])
  const topics = ['x', 'y'].map((name) => server.topic(name))
  const latest = server.topic('z', { slow: 'latest', keysMax: 4, valueBytesMax: 100 })
  for (const topic of [...topics, latest]) for (const peer of Object.values(peers)) topic.add(peer)
  const random = randomFrom(7)
  const expected = []
  for (let i = 0; i < 3000; i++) {
    const message = `${i} ${'.'.repeat(random(60))}`
    switch (random(5)) {
      case 0:
        peers.a.send(text(message))
        break
      case 1:
        server.broadcast(text(message))
        break
      case 2:
        topics[0].publish(text(message))
        break
      case 3:
        topics[1].buffer.write(message, topics[1].claim(message.length), 'latin1')
        topics[1].commit()
        break
      default:
        latest.set(random(4), text(message))
    }
    expected.push(String(i))
    if (random(50) === 0) await new Promise(setImmediate)
  }
  await until(() => messages.a.length === expected.length)
  t.deepEqual(
    messages.a.map((message) => (/^\d/.test(message) ? message : message.slice(4)).split(' ')[0]),
    expected
  )
})

test('a peer that has left is gone from all its topics', async (t) => {
  const { server, clients, peers } = await startAll(t, ['a', 'b'])
  const topics = Array.from({ length: 1000 }, (_, i) => server.topic(`topic ${i}`))
  for (const topic of topics) for (const peer of Object.values(peers)) topic.add(peer)
  server.on('clientDisconnected', (id) => {
    t.is(id, 'a')
    t.true(topics.every((topic) => topic.size === 1 && !topic.has(peers.a)))
  })
  t.plan(2 + 3)
  await clients.a.stop()
  await until(() => server.peerCount === 1)
  t.false(topics[0].add(peers.a))
  t.false(topics[0].delete(peers.a))
  server.removeAllListeners('clientDisconnected')
  // One that takes its place is in no topic.
  await startClient(t, server, 'c')
  t.false(topics[0].has(await until(() => server.peer('c'))))
})

test('a peer that is closing joins no more', async (t) => {
  const { server, peers } = await startAll(t, ['a'])
  const topic = server.topic('fx')
  topic.add(peers.a)
  peers.a.close()
  t.true(topic.has(peers.a))
  t.is(topic.publish(text('late')), 0)
  t.false(server.topic('other').add(peers.a))
  await until(() => topic.size === 0)
  t.is(topic.counters.skipped, 0)
})

test('skip: who has no room misses a message, and costs the others nothing', async (t) => {
  const { server, clients, peers, messages } = await startAll(t, ['slow', 'quick'], small)
  const topic = server.topic('fx')
  topic.add(peers.slow)
  topic.add(peers.quick)
  clients.slow.pause()
  await fill(server, peers.slow)
  for (let i = 0; i < 100; i++) t.is(topic.publish(text(`number ${i}`)), 1)
  await until(() => messages.quick.length === 100)
  t.deepEqual(topic.counters.toJSON(), {
    published: 100,
    delivered: 100,
    skipped: 100,
    conflated: 0,
    closed: 0
  })
  const drained = once(server, 'drain')
  clients.slow.resume()
  t.is((await drained)[0], peers.slow)
  t.is(topic.publish(text('again')), 2)
  await until(() => messages.slow.at(-1) === 'again')
  t.false(messages.slow.some((message) => message.startsWith('number')))
})

test('close: who has no room is closed with ZERIO_SLOW_CONSUMER', async (t) => {
  const { server, clients, peers, messages } = await startAll(t, ['slow', 'quick'], small)
  const topic = server.topic('fx', { slow: 'close' })
  topic.add(peers.slow)
  topic.add(peers.quick)
  clients.slow.pause()
  await fill(server, peers.slow)
  const left = once(server, 'clientDisconnected')
  t.is(topic.publish(text('one')), 1)
  t.is(topic.publish(text('two')), 1)
  const [id, reason] = await left
  t.is(id, 'slow')
  t.is(reason.code, 'ZERIO_SLOW_CONSUMER')
  t.is(reason.closeCode, 1021)
  t.true(reason.local)
  t.is(topic.size, 1)
  await until(() => messages.quick.length === 2)
  t.deepEqual(topic.counters.toJSON(), { published: 2, delivered: 2, skipped: 1, conflated: 0, closed: 1 })
})

test('close: the other side is given the reason', async (t) => {
  const { server, clients, peers } = await startAll(t, ['slow'], { ...small, lingerMs: 5000 })
  const topic = server.topic('fx', { slow: 'close', pendingBytesMax: 20_000 })
  topic.add(peers.slow)
  clients.slow.pause()
  const ended = once(clients.slow, 'disconnected')
  let published = 0
  while (topic.counters.closed === 0) {
    published += topic.publish(Buffer.alloc(1000))
    await new Promise(setImmediate)
  }
  // Not before, and long before the ring is full.
  t.is(topic.counters.skipped, 0)
  t.true(published > 20)
  clients.slow.resume()
  const [reason] = await ended
  t.is(reason.code, 'ZERIO_SLOW_CONSUMER')
  t.false(reason.local)
  t.is(clients.slow.counters.messagesReceived, published)
})

test('close: a burst that the system takes closes no member', async (t) => {
  const { server, peers, messages } = await startAll(t, ['a'])
  const topic = server.topic('fx', { slow: 'close', pendingBytesMax: 2000, behindMs: 20 })
  topic.add(peers.a)
  for (let i = 0; i < 20; i++) topic.publish(Buffer.alloc(500))
  await until(() => messages.a.length === 20)
  t.is(topic.counters.closed, 0)
})

test('close: who is behind for too long is closed, and who takes what comes is not', async (t) => {
  const { server, clients, peers } = await startAll(t, ['slow', 'quick'], small)
  const topic = server.topic('fx', { slow: 'close', behindMs: 200 })
  topic.add(peers.slow)
  topic.add(peers.quick)
  clients.slow.pause()
  const begun = Date.now()
  const left = once(server, 'clientDisconnected')
  // Fills the buffers of the system, and a part of the ring.
  const bytes = Buffer.alloc(5000)
  while (topic.counters.closed === 0 && peers.slow.pendingBytes < 30_000) {
    topic.publish(bytes)
    await new Promise(setImmediate)
  }
  const filled = Date.now()
  while (topic.counters.closed === 0) {
    topic.publish(text('tick'))
    await sleep(5)
  }
  const [id, reason] = await left
  t.is(id, 'slow')
  t.is(reason.code, 'ZERIO_SLOW_CONSUMER')
  const behindMs = Date.now() - filled
  t.true(behindMs > 100 && Date.now() - begun >= 150, `${behindMs} ms`)
  t.is(topic.counters.closed, 1)
  t.is(topic.size, 1)
})

const value = (key, content) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(key)
  return bytes.toString('latin1') + content
}

test('latest: a member that keeps up gets every update, and a new one the present values first', async (t) => {
  const { server, peers, messages } = await startAll(t, ['a', 'b'])
  const topic = server.topic('fx', { slow: 'latest', keysMax: 70, valueBytesMax: 20 })
  t.is(topic.set(69, text('zero')), 0)
  topic.add(peers.a)
  t.is(topic.set(1, text('one')), 1)
  t.is(topic.set(1, text('-uno-'), 1, 3), 1)
  t.is(topic.set(33, Buffer.alloc(0)), 1)
  topic.add(peers.b)
  t.is(topic.set(1, text('ein Wert von zwanzig')), 2)
  await until(() => messages.a.length === 5 && messages.b.length === 4)
  const last = value(1, 'ein Wert von zwanzig')
  t.deepEqual(messages.a, [value(69, 'zero'), value(1, 'one'), value(1, 'uno'), value(33, ''), last])
  t.deepEqual(messages.b, [value(1, 'uno'), value(33, ''), value(69, 'zero'), last])
  t.deepEqual(topic.counters.toJSON(), { published: 5, delivered: 9, skipped: 0, conflated: 0, closed: 0 })
})

test('latest: who lags gets the newest value of each changed key, once, in the order of the keys', async (t) => {
  const keys = []
  for (let key = 255; key >= 0; key -= 1 + (key % 3)) keys.unshift(key)
  const course = async () => {
    const { server, clients, peers, messages } = await startAll(t, ['slow', 'quick'], small)
    const topic = server.topic('fx', { slow: 'latest', keysMax: 256, valueBytesMax: 16 })
    topic.add(peers.slow)
    topic.add(peers.quick)
    clients.slow.pause()
    await fill(server, peers.slow)
    const filled = messages.slow.length
    for (let round = 0; round < 10; round++) {
      for (const key of keys.toReversed()) topic.set(key, text(`${round}`))
      // So that the quick one never lags, however busy the system is.
      await until(() => messages.quick.length === (round + 1) * keys.length)
    }
    topic.set(77, text('last'))
    await until(() => messages.quick.length === 10 * keys.length + 1)
    return { clients, messages, topic, filled }
  }
  let { clients, messages, topic, filled } = await course()
  // A full connection may take some more, when the system asks the other side again: then its member did not lag all the time.
  for (let i = 0; i < 5 && topic.counters.delivered > 10 * keys.length + 1; i++)
    ({ clients, messages, topic, filled } = await course())
  t.deepEqual(messages.slow.slice(filled), [])
  t.is(topic.counters.skipped, 0)
  clients.slow.resume()
  const changed = [...new Set([...keys, 77])].sort((a, b) => a - b)
  const mine = () => messages.slow.filter((message) => message.length < 100)
  await until(() => mine().length === changed.length)
  t.deepEqual(
    mine(),
    changed.map((key) => value(key, key === 77 ? 'last' : '9'))
  )
  t.is(topic.counters.conflated, 10 * keys.length + 1 - changed.length)
  // It keeps up again.
  topic.set(5, text('on'))
  topic.set(5, text('and on'))
  await until(() => mine().length === changed.length + 2)
  t.deepEqual(mine().slice(-2), [value(5, 'on'), value(5, 'and on')])
})

test('latest: catching up that fills the ring again goes on where it stopped', async (t) => {
  const { server, clients, peers, messages } = await startAll(t, ['slow'], small)
  const topic = server.topic('fx', { slow: 'latest', keysMax: 200, valueBytesMax: 4000 })
  clients.slow.pause()
  await fill(server, peers.slow)
  for (let key = 0; key < 200; key++) topic.set(key, Buffer.alloc(4000, `${key} `))
  topic.add(peers.slow)
  clients.slow.resume()
  const mine = () => messages.slow.filter((message) => message.length === 4004)
  await until(() => mine().length === 200)
  t.deepEqual(
    mine().map((message) => Buffer.from(message, 'latin1').readUInt32LE()),
    Array.from({ length: 200 }, (_, key) => key)
  )
  t.is(topic.counters.delivered, 200)
})

test('latest: no topic takes all the room of a member that lags in several', async (t) => {
  const { server, clients, peers, messages } = await startAll(t, ['slow'], small)
  const options = { slow: 'latest', keysMax: 50, valueBytesMax: 4000 }
  const [quiet, busy] = ['quiet', 'busy'].map((name) => server.topic(name, options))
  const big = Buffer.alloc(4000)
  const setAll = (topic, value) => {
    for (let key = 0; key < 50; key++) topic.set(key, value)
  }
  for (const topic of [quiet, busy]) topic.add(peers.slow)
  clients.slow.pause()
  await fill(server, peers.slow)
  setAll(quiet, Buffer.alloc(3000))
  setAll(busy, big)
  // From now on the busy topic always has more values for the member than its ring holds.
  server.on('drain', () => setAll(busy, big))
  clients.slow.resume()
  await until(() => messages.slow.filter((message) => message.length === 3004).length === 50)
  t.pass()
})

test('latest: a claim that is open when there is room costs no topic its values', async (t) => {
  const { server, clients, peers, messages } = await startAll(t, ['slow'], small)
  const topics = ['a', 'b'].map((name) => server.topic(name, { slow: 'latest', keysMax: 4 }))
  for (const topic of topics) topic.add(peers.slow)
  clients.slow.pause()
  await fill(server, peers.slow)
  for (const topic of topics) topic.set(1, text(topic.name))
  server.once('drain', (peer) => {
    t.true(peer.claim(8) >= 0)
    queueMicrotask(() => peer.commit())
  })
  clients.slow.resume()
  const mine = () => messages.slow.filter((message) => message.length === 5).sort()
  await until(() => mine().length === 2)
  t.deepEqual(mine(), [value(1, 'a'), value(1, 'b')])
})

test('latest: the next value after a claim reaches the member at once, with the ones before', async (t) => {
  const { server, peers, messages } = await startAll(t, ['a'])
  const topic = server.topic('fx', { slow: 'latest', keysMax: 4 })
  topic.add(peers.a)
  peers.a.claim(1)
  t.throws(() => topic.set(1, text('one')), { code: 'ZERIO_CLAIM_OPEN' })
  t.is(topic.set(2, text('two')), 0)
  peers.a.abort()
  t.is(topic.set(2, text('three')), 1)
  await until(() => messages.a.length === 2)
  t.deepEqual(messages.a, [value(1, 'one'), value(2, 'three')])
  t.is(topic.counters.delivered, 2)
})

test('latest: a member that is closed in a drain handler counts nowhere', async (t) => {
  const { server, clients, peers } = await startAll(t, ['slow'], small)
  const topic = server.topic('fx', { slow: 'latest', keysMax: 4 })
  topic.add(peers.slow)
  clients.slow.pause()
  await fill(server, peers.slow)
  for (let key = 0; key < 4; key++) topic.set(key, text('late'))
  server.on('drain', (peer) => peer.close())
  clients.slow.resume()
  await once(server, 'clientDisconnected')
  t.is(topic.counters.skipped, 0)
  t.is(topic.size, 0)
})

test('a topic ends: with close, and with its server', async (t) => {
  const { server, peers } = await startAll(t, ['a'])
  const topic = server.topic('fx', { slow: 'latest', keysMax: 2 })
  topic.add(peers.a)
  topic.close()
  topic.close()
  t.false(topic.isOpen)
  t.is(topic.size, 0)
  t.false(topic.has(peers.a))
  t.false(topic.delete(peers.a))
  for (const call of [
    () => topic.add(peers.a),
    () => topic.publish(text('late')),
    () => topic.publishExcept(peers.a, text('late')),
    () => topic.claim(1),
    () => topic.set(0, text('late'))
  ])
    t.throws(call, { code: 'ZERIO_TOPIC_CLOSED', message: /'fx'.*server\.topic makes a new one/ })
  const again = server.topic('fx')
  t.not(again, topic)
  t.true(again.add(peers.a))
  t.is(again.publish(text('new')), 1)
  again.claim(3)
  const stopped = server.stop()
  t.false(again.isOpen)
  for (const call of [() => again.commit(), () => again.abort()])
    t.throws(call, { code: 'ZERIO_TOPIC_CLOSED' })
  await stopped
  t.is(again.counters.delivered, 1)
})

test('a topic that is closed has nothing to do with the one that comes after it', async (t) => {
  const { server, peers, messages } = await startAll(t, ['a', 'b'])
  const old = server.topic('old')
  old.add(peers.a)
  old.close()
  const topic = server.topic('new')
  topic.add(peers.a)
  t.false(old.has(peers.a))
  t.false(old.delete(peers.a))
  t.is(old.size, 0)
  server.topic('other').add(peers.b)
  t.is(topic.publish(text('for a')), 1)
  await until(() => messages.a.length === 1)
  t.deepEqual(messages.b, [])
})

test('stop ends the topics that handlers make meanwhile, and those of a server that does not run stay', async (t) => {
  const { server } = await startAll(t, ['a'])
  let late
  server.on('clientDisconnected', () => {
    late = server.topic('late')
  })
  await server.stop()
  t.false(late.isOpen)
  const topic = server.topic('fx')
  await server.stop()
  t.true(topic.isOpen)
})

test('a topic can be made before the start, and its name stands for it', (t) => {
  const server = new ZerioServer(0)
  const topic = server.topic('fx', { slow: 'latest', keysMax: 10 })
  t.is(server.topic('fx'), topic)
  t.is(server.topic('fx', {}), topic)
  t.is(server.topic('fx', { slow: 'latest', valueBytesMax: undefined }), topic)
  t.is(server.topic('fx', { slow: 'latest', keysMax: 10 }), topic)
  for (const options of [{ slow: 'skip' }, { slow: 'latest', keysMax: 11 }])
    t.throws(() => server.topic('fx', options), { code: 'ZERIO_BAD_OPTION', message: /there already/ })
  t.not(server.topic('other'), topic)
})

test('options and names that cannot be', (t) => {
  const server = new ZerioServer(0)
  for (const options of [
    { slow: 'wait' },
    { keysMax: 3 },
    { slow: 'close', valueBytesMax: 3 },
    { slow: 'latest', behindMs: 100 },
    { pendingBytesMax: 100 },
    { slow: 'latest', valueBytesMax: 65_533 },
    { slow: 'latest', keysMax: 1_048_576, valueBytesMax: 65_532 },
    { speed: 1 },
    []
  ])
    t.throws(() => server.topic('fx', options), { code: 'ZERIO_BAD_OPTION' }, JSON.stringify(options))
  for (const name of ['', 'a\nb', 'x'.repeat(256), 5, undefined, '\ud800'])
    t.throws(() => server.topic(name), { code: 'ZERIO_BAD_ARGUMENT', message: /1 to 255 bytes/ })
  t.is(server.topic('ü'.repeat(127)).size, 0)
})

test('misuse says what to do', async (t) => {
  const { server, peers } = await startAll(t, ['a'])
  const other = await startAll(t, ['a', 'b'])
  const topic = server.topic('fx')
  const latest = server.topic('latest', { slow: 'latest', keysMax: 8, valueBytesMax: 4 })
  topic.add(peers.a)
  t.throws(() => topic.add(other.peers.b), { code: 'ZERIO_FOREIGN_PEER' })
  t.throws(() => topic.publishExcept(other.peers.a, text('x')), { code: 'ZERIO_FOREIGN_PEER' })
  other.server.topic('fx').add(other.peers.a)
  t.false(topic.has(other.peers.a))
  t.false(topic.delete(other.peers.a))
  for (const peer of [undefined, 'a', {}, null, server])
    for (const method of ['add', 'delete', 'has'])
      t.throws(() => topic[method](peer), { code: 'ZERIO_BAD_ARGUMENT', message: /is a Peer of the server/ })
  t.throws(() => topic.set(0, text('x')), { code: 'ZERIO_WRONG_TOPIC', message: /slow: 'latest'/ })
  t.throws(() => latest.publish(text('x')), { code: 'ZERIO_WRONG_TOPIC', message: /call set/ })
  t.throws(() => latest.claim(1), { code: 'ZERIO_WRONG_TOPIC' })
  for (const key of [-1, 8, 1.5, '1', undefined, Number.NaN, 2n])
    t.throws(() => latest.set(key, text('x')), { code: 'ZERIO_BAD_ARGUMENT', message: /0 to 7/ })
  t.throws(() => latest.set(0, text('12345')), { code: 'ZERIO_BAD_ARGUMENT', message: /at most 4 bytes/ })
  t.throws(() => latest.set(0, text('123'), 2, 2), { code: 'ZERIO_BAD_ARGUMENT' })
  t.throws(() => latest.set(0, text('123'), 1), { code: 'ZERIO_BAD_ARGUMENT' })
  for (const bytes of ['text', undefined, [1], new Float64Array(1)]) {
    t.throws(() => latest.set(0, bytes), { code: 'ZERIO_BAD_ARGUMENT' })
    t.throws(() => topic.publish(bytes), { code: 'ZERIO_BAD_ARGUMENT' })
  }
  t.throws(() => topic.publish(text('x'), 128), { code: 'ZERIO_BAD_ARGUMENT' })
  t.throws(() => topic.claim(-1), { code: 'ZERIO_BAD_ARGUMENT' })
  t.throws(() => topic.claim(1, 128), { code: 'ZERIO_BAD_ARGUMENT' })
  t.deepEqual(topic.counters.toJSON(), { published: 0, delivered: 0, skipped: 0, conflated: 0, closed: 0 })
})

test('a member with an open claim is left out, and the call throws when all others were sent to', async (t) => {
  const { server, peers, messages } = await startAll(t, ['a', 'b', 'c'])
  const topic = server.topic('fx')
  const latest = server.topic('latest', { slow: 'latest', keysMax: 4 })
  for (const peer of Object.values(peers)) for (const one of [topic, latest]) one.add(peer)
  peers.b.claim(10)
  t.throws(() => topic.publish(text('published')), { code: 'ZERIO_CLAIM_OPEN' })
  t.throws(() => latest.set(2, text('old')), { code: 'ZERIO_CLAIM_OPEN' })
  t.is(latest.set(2, text('new')), 2)
  peers.b.abort()
  const forAll = [value(2, 'old'), value(2, 'new')]
  await until(() => messages.a.length === 3 && messages.c.length === 3 && messages.b.length === 1)
  t.deepEqual(messages.a, ['published', ...forAll])
  // It gets the value in a later turn, without another call.
  t.deepEqual(messages.b, [value(2, 'new')])
  t.is(topic.counters.skipped, 1)
  t.is(latest.counters.conflated, 1)
  t.is(latest.counters.delivered, 5)
})

test('peers that do not take a message are left out: a classic one on a channel, and one with a low limit', async (t) => {
  const { server, peers, messages } = await startAll(t, ['a'])
  await connectClassic(t, server.listeningPort, 'classic')
  const client = await startClient(t, server, 'short', { maxMessageLength: 10, sendRingBytes: 4096 })
  const topic = server.topic('fx')
  const classic = await until(() => server.peer('classic'))
  const short = await until(() => server.peer('short'))
  for (const peer of [peers.a, classic, short]) topic.add(peer)
  t.is(topic.publish(text('on a channel'), 1), 1)
  t.is(topic.publish(text('short')), 3)
  t.is(topic.publish(text('of more than ten bytes')), 2)
  t.is(topic.counters.skipped, 3)
  const latest = server.topic('latest', { slow: 'latest', keysMax: 4 })
  latest.set(1, text('long enough'))
  latest.add(short)
  t.is(latest.set(2, text('long enough')), 0)
  t.is(latest.set(3, text('ok')), 1)
  t.is(latest.counters.skipped, 2)
  await until(() => messages.a.length === 3 && client.counters.messagesReceived === 2)
})

test('handlers publish, close peers and close topics inside of each other', async (t) => {
  const { server, clients, peers, messages } = await startAll(t, ['a', 'b', 'c'])
  const topic = server.topic('fx')
  for (const peer of Object.values(peers)) topic.add(peer)
  server.onMessage = (peer, buffer, offset, length) => {
    switch (buffer.toString('latin1', offset, offset + length)) {
      case 'say':
        topic.publishExcept(peer, buffer, offset, length)
        topic.publish(text('all'))
        break
      case 'leave':
        topic.delete(peer)
        peers.c.close()
        topic.publish(text('left'))
        break
      default:
        topic.close()
        server.topic('fx').add(peer)
        server.topic('fx').publish(text('anew'))
    }
  }
  clients.a.send(text('say'))
  await until(() => messages.a.length === 1 && messages.b.length === 2 && messages.c.length === 2)
  clients.a.send(text('leave'))
  await until(() => messages.b.length === 3 && server.peerCount === 2)
  clients.b.send(text('anew'))
  await until(() => messages.b.length === 4)
  t.deepEqual(messages.a, ['all'])
  t.deepEqual(messages.b, ['say', 'all', 'left', 'anew'])
  t.deepEqual(messages.c, ['say', 'all'])
  t.is(server.topic('fx').size, 1)
})
