// Clients ask to be in topics: answers, refusals, what a broken connection changes, and requests that break the protocol.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { Subscriptions } from '../../dist/topics/subscriptions.js'
import { BrokenPath } from '../helpers/broken_path.mjs'
import { collect, makeClient, ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  controlFrame,
  dataFrame,
  farewell,
  framesOf,
  hello,
  OPCODE,
  startRawServer,
  TOPICS,
  welcome
} from '../helpers/wire_raw.mjs'

const text = (bytes) => Buffer.from(bytes)
const QUICKLY = { delayMs: 1, delayMsMax: 20 }
const REFUSED = { code: 'ZERIO_SUBSCRIBE_REFUSED' }

test('a client is in a topic from its subscribe to its unsubscribe', async (t) => {
  const { server, client, peer } = await startPair(t)
  const messages = collect(client)
  const asked = []
  server.onSubscribe = (who, name) => {
    asked.push([who, name])
    return name.startsWith('fx.')
  }
  const topic = server.topic('fx.ü')
  t.is(await client.subscribe('fx.ü'), undefined)
  t.deepEqual(asked, [[peer, 'fx.ü']])
  t.true(topic.has(peer))
  topic.publish(text('one'))
  // Twice is once.
  await client.subscribe('fx.ü')
  t.is(topic.size, 1)
  topic.publish(text('two'))
  t.is(await client.unsubscribe('fx.ü'), undefined)
  const before = messages.length
  t.false(topic.has(peer))
  t.is(topic.publish(text('three')), 0)
  await client.unsubscribe('fx.ü')
  await client.unsubscribe('there is none')
  t.is(asked.length, 2)
  t.is(before, 2)
  t.deepEqual(
    messages.map(({ bytes }) => String(bytes)),
    ['one', 'two']
  )
})

test('the server refuses: without a handler, by its answer, and without a topic', async (t) => {
  const { server, client } = await startPair(t)
  server.topic('fx')
  await t.throwsAsync(client.subscribe('fx'), { ...REFUSED, message: /'fx': the server did not let/ })
  for (const answer of [false, undefined, null, 1, 'true', {}]) {
    server.onSubscribe = () => answer
    await t.throwsAsync(client.subscribe('fx'), REFUSED)
  }
  t.is(server.topic('fx').size, 0)
  server.onSubscribe = () => true
  await t.throwsAsync(client.subscribe('none'), { ...REFUSED, message: /has no topic of this name now/ })
  server.onSubscribe = null
  await t.throwsAsync(client.subscribe('fx'), REFUSED)
  // The connection goes on.
  t.true(client.isConnected)
  await client.unsubscribe('fx')
})

test('the handler may make the topic, and sends in it come in order', async (t) => {
  const { server, client } = await startPair(t)
  const messages = collect(client)
  server.onSubscribe = (peer, name) => {
    peer.send(text('first'))
    server.topic(name, { slow: 'latest', keysMax: 2 }).set(1, text('second'))
    return true
  }
  await client.subscribe('made')
  server.topic('made').set(1, text('third'))
  await until(() => messages.length === 3)
  t.deepEqual(
    messages.map(({ bytes }) =>
      String(bytes).replaceAll(String.fromCharCode(0), '').replaceAll(String.fromCharCode(1), '')
    ),
    ['first', 'second', 'third']
  )
})

/** What `subscribe` of a client that the program polls comes to, and what its polls have thrown meanwhile. */
async function pollSubscribe(client, name) {
  let outcome
  client.subscribe(name).then(
    () => {
      outcome = 'done'
    },
    ({ code }) => {
      outcome = code
    }
  )
  const thrown = []
  await until(() => {
    try {
      client.poll()
    } catch (error) {
      thrown.push(error)
    }
    return outcome !== undefined
  })
  return { outcome, thrown }
}

test('an exception of the handler refuses, and reaches the process', async (t) => {
  const { server, client } = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  server.topic('fx')
  server.onSubscribe = () => {
    throw new Error('a mistake')
  }
  const { outcome, thrown } = await pollSubscribe(client, 'fx')
  t.is(outcome, REFUSED.code)
  t.deepEqual(
    thrown.map(({ message }) => message),
    ['a mistake']
  )
  // While it is polled, requests are answered without the loop.
  server.onSubscribe = () => true
  let done = false
  client.subscribe('fx').then(() => {
    done = true
  })
  await pollUntil(client, () => done)
})

test('a handler that answers with a promise refuses, and its author hears why', async (t) => {
  const { server, client } = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  const topic = server.topic('fx')
  for (const handler of [async () => true, () => Promise.resolve(false)]) {
    server.onSubscribe = handler
    const { outcome, thrown } = await pollSubscribe(client, 'fx')
    t.is(outcome, REFUSED.code)
    t.is(thrown.length, 1)
    t.is(thrown[0].code, 'ZERIO_BAD_ARGUMENT')
    t.regex(thrown[0].message, /onSubscribe must answer with a boolean, not with a promise/)
    t.is(topic.size, 0)
  }
})

test('a claim that the handler leaves open delays the values, and nothing is thrown', async (t) => {
  const { server, client, peer } = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  const messages = collect(client)
  const topic = server.topic('latest', { slow: 'latest', keysMax: 2 })
  topic.set(1, text('value'))
  server.onSubscribe = () => peer.claim(4) >= 0
  t.deepEqual(await pollSubscribe(client, 'latest'), { outcome: 'done', thrown: [] })
  t.true(topic.has(peer))
  peer.abort()
  await pollUntil(client, () => messages.length === 1)
  t.is(String(messages[0].bytes.subarray(4)), 'value')
})

test('the handler closes the peer, and the topic', async (t) => {
  const { server, client } = await startPair(t)
  server.onSubscribe = (_peer, name) => {
    server.topic(name).close()
    return true
  }
  server.topic('closed')
  await t.throwsAsync(client.subscribe('closed'), REFUSED)
  for (const method of ['end', 'close', 'terminate']) {
    const { server, client } = await startPair(t, {}, { client: { allowHalfOpen: true } })
    server.onSubscribe = (peer) => {
      peer[method]()
      return true
    }
    const topic = server.topic('fx')
    const outcome = await client.subscribe('fx').then(
      () => 'in',
      ({ code }) => code
    )
    t.true(['ZERIO_SUBSCRIBE_REFUSED', 'ZERIO_NOT_CONNECTED'].includes(outcome), `${method}: ${outcome}`)
    t.is(topic.size, 0)
  }
})

test('a request follows what the client has sent before it', async (t) => {
  const { server, client } = await startPair(t)
  server.topic('fx')
  const log = []
  server.on('message', (_id, bytes) => log.push(String(bytes)))
  server.onSubscribe = (_peer, name) => log.push(name) > 0
  client.send(text('before'))
  const waits = client.subscribe('fx')
  client.send(text('after'))
  await waits
  await until(() => log.length === 3)
  t.deepEqual(log, ['before', 'fx', 'after'])
  // What the program is writing follows.
  client.claim(7)
  const again = client.subscribe('fx')
  client.abort()
  await again
  t.is(log.length, 4)
})

test('many requests are answered in order, eight at a time', async (t) => {
  const { server, client } = await startPair(t)
  const names = Array.from({ length: 500 }, (_, i) => `${i} ${'n'.repeat(i % 250)}`)
  for (const name of names) server.topic(name)
  const asked = []
  server.onSubscribe = (_peer, name) => {
    asked.push(name)
    return true
  }
  const answered = []
  await Promise.all(names.map((name) => client.subscribe(name).then(() => answered.push(name))))
  t.deepEqual(asked, names)
  t.deepEqual(answered, names)
  t.true(names.every((name) => server.topic(name).size === 1))
})

test('requests wait for room where the other side does not read', async (t) => {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port }, { socketSendBytes: 4608 })
  t.teardown(() => client.terminate())
  const starting = client.start('client')
  const socket = await raw.next()
  socket.socket.pause()
  socket.write(welcome({ extensions: TOPICS }))
  await starting
  // Fills what the system has, so that nothing leaves.
  await until(() => {
    for (let i = 0; i < 10; i++) client.send(Buffer.alloc(10_000))
    client.flush()
    return client.pendingBytes > 100_000
  })
  const names = Array.from({ length: 9 }, (_, i) => `${i}${'n'.repeat(254)}`)
  const outcomes = names.map((name) => client.subscribe(name).catch(({ code }) => code))
  await sleep(20)
  socket.socket.resume()
  const requests = () => {
    const { bytes } = socket
    const found = []
    for (let at = 0; at + 4 <= bytes.length; ) {
      const header = bytes.readUInt32LE(at)
      const length = header % 2 ** 24
      if (header >>> 24 === 0x80 + OPCODE.subscribe) found.push(bytes.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    return found
  }
  await until(() => requests().length === 8)
  t.deepEqual(
    requests().map((bytes) => bytes.subarray(4).toString()),
    names.slice(0, 8)
  )
  // The ninth one follows an answer.
  const answer = (number, code, reason = '') =>
    controlFrame(
      OPCODE.subscription,
      Buffer.concat([Buffer.from([number, 0, 0, 0, code & 255, code >> 8]), text(reason)])
    )
  socket.write(answer(2, 0))
  await until(() => requests().length === 9)
  socket.write(Buffer.concat([answer(3, 1022, 'not\nyou'), answer(200, 0), answer(1, 4321, '')]))
  t.is(await outcomes[2], undefined)
  t.is(await outcomes[3], 'ZERIO_SUBSCRIBE_REFUSED')
  t.is(await outcomes[1], 'ZERIO_APPLICATION')
  client.terminate()
  t.is(await outcomes[8], 'ZERIO_NOT_CONNECTED')
})

test('names and moments that cannot be', async (t) => {
  const server = await startServer(t)
  const client = makeClient(t, server)
  await t.throwsAsync(client.subscribe('fx'), { code: 'ZERIO_NOT_CONNECTED' })
  await client.start('client')
  for (const name of ['', 'a\nb', 'x'.repeat(256), 5, undefined, '\ud800', null])
    for (const method of ['subscribe', 'unsubscribe'])
      await t.throwsAsync(client[method](name), { code: 'ZERIO_BAD_ARGUMENT', message: /1 to 255 bytes/ })
  const waits = client.subscribe('fx')
  const stopping = client.stop()
  await t.throwsAsync(waits, { code: 'ZERIO_NOT_CONNECTED', message: /the client was stopped/ })
  await t.throwsAsync(client.subscribe('fx'), { code: 'ZERIO_NOT_CONNECTED' })
  await stopping
  await t.throwsAsync(client.unsubscribe('fx'), { code: 'ZERIO_NOT_CONNECTED' })
})

test('a server without TOPICS, and one that speaks classic, know no requests', async (t) => {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port })
  t.teardown(() => client.terminate())
  const starting = client.start('client')
  const socket = await raw.next()
  socket.write(welcome())
  await starting
  await t.throwsAsync(client.subscribe('fx'), { code: 'ZERIO_SUBSCRIBE_UNSUPPORTED', message: /'fx'/ })
  const { client: classic, server, peer } = await startPair(t, {}, { client: { protocol: 'classic' } })
  await t.throwsAsync(classic.subscribe('fx'), { code: 'ZERIO_SUBSCRIBE_UNSUPPORTED' })
  // The program of the server can still make it a member.
  const messages = collect(classic)
  server.topic('fx').add(peer)
  server.topic('fx').publish(text('oui'))
  await until(() => messages.length === 1)
})

/** A client that connects again over a path that can break. */
async function startOverPath(t, serverOptions, clientOptions) {
  const server = await startServer(t, serverOptions)
  const path = await BrokenPath.start(t, server.listeningPort)
  const client = new ZerioClient({ host: '127.0.0.1', port: path.port }, clientOptions)
  t.teardown(() => client.terminate())
  await client.start('client')
  return { server, path, client }
}

test('what was accepted is asked for again on the next connection', async (t) => {
  const { server, path, client } = await startOverPath(t, {}, { reconnect: QUICKLY })
  const messages = collect(client)
  const asked = []
  let allowed = ['a', 'b', 'c']
  server.onSubscribe = (_peer, name) => {
    asked.push(name)
    return allowed.includes(name)
  }
  for (const name of ['a', 'b', 'c']) server.topic(name)
  await Promise.all(['a', 'b', 'c'].map((name) => client.subscribe(name)))
  await client.unsubscribe('b')
  asked.length = 0
  allowed = ['a', 'd']
  server.topic('d')
  const refused = once(client, 'subscribeRefused')
  path.open = false
  path.break()
  await once(client, 'disconnected')
  // Asked for while there is no connection: it waits.
  const waits = client.subscribe('d')
  path.open = true
  await waits
  t.deepEqual(asked, ['a', 'c', 'd'])
  const [name, error] = await refused
  t.is(name, 'c')
  t.is(error.code, 'ZERIO_SUBSCRIBE_REFUSED')
  await until(() => server.topic('a').size === 1 && server.topic('d').size === 1)
  t.is(server.topic('c').size, 0)
  server.topic('a').publish(text('again'))
  await until(() => messages.length === 1)
  // What was refused is not asked for any more.
  asked.length = 0
  path.break()
  await until(() => asked.length === 2)
  t.deepEqual(asked, ['a', 'd'])
})

test('a session keeps its topics over a break, and asks again for what was not answered', async (t) => {
  const { server, path, client } = await startOverPath(
    t,
    { sessions: true },
    { session: true, reconnect: QUICKLY }
  )
  const messages = collect(client)
  const asked = []
  server.onSubscribe = (_peer, name) => {
    asked.push(name)
    return true
  }
  server.topic('a')
  server.topic('b')
  await client.subscribe('a')
  for (let round = 0; round < 10; round++) {
    path.open = false
    path.break()
    await once(client, 'suspended')
    // The ring takes it, and the session brings it.
    t.is(server.topic('a').publish(text(`${round}`)), 1)
    const waits = client.subscribe('b')
    path.open = true
    await waits
    await client.unsubscribe('b')
  }
  await until(() => messages.length === 10)
  t.deepEqual(
    messages.map(({ bytes }) => String(bytes)),
    Array.from({ length: 10 }, (_, round) => `${round}`)
  )
  t.is(asked.filter((name) => name === 'a').length, 1)
  t.is(asked.filter((name) => name === 'b').length, 10)
  t.is(server.topic('a').size, 1)
  // A lagging member of a topic with the latest values gets them over the break.
})

test('a lagging member of a session gets the newest values on its next connection', async (t) => {
  const options = { maxMessageLength: 8192, sendRingBytes: 20_480 }
  const { server, path, client } = await startOverPath(
    t,
    { sessions: true, ...options },
    { session: true, reconnect: QUICKLY, ...options }
  )
  const values = new Map()
  client.onMessage = (buffer, offset, length) =>
    values.set(buffer.readUInt32LE(offset), buffer.toString('latin1', offset + 4, offset + length).trim())
  server.onSubscribe = () => true
  const topic = server.topic('latest', { slow: 'latest', keysMax: 20, valueBytesMax: 4000 })
  await client.subscribe('latest')
  path.open = false
  path.break()
  await once(client, 'suspended')
  await until(() => server.peer('client').state === 'suspended')
  for (let round = 0; round < 5; round++)
    for (let key = 0; key < 20; key++) topic.set(key, text(`${round}`.padEnd(2000)))
  t.true(topic.counters.conflated > 0)
  path.open = true
  await until(() => values.size === 20 && [...values.values()].every((content) => content === '4'))
  t.pass()
})

test('a session that is lost is a new connection for its topics', async (t) => {
  const { server, path, client } = await startOverPath(
    t,
    { sessions: true },
    { session: true, reconnect: QUICKLY }
  )
  server.onSubscribe = () => true
  const topic = server.topic('a')
  await client.subscribe('a')
  path.open = false
  path.break()
  await until(() => server.peer('client').state === 'suspended')
  server.peer('client').close()
  await until(() => server.peerCount === 0)
  t.is(topic.size, 0)
  path.open = true
  await until(() => topic.size === 1)
  t.true(topic.has(server.peer('client')))
})

test('a paused client is answered when it reads again', async (t) => {
  const { server, client } = await startPair(t)
  server.onSubscribe = () => true
  server.topic('fx')
  client.pause()
  const waits = client.subscribe('fx')
  await until(() => server.topic('fx').size === 1)
  client.resume()
  await waits
  t.pass()
})

/** A client whose server is only bytes, once both have greeted. */
async function startRawPair(t, options) {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port }, options)
  t.teardown(() => client.terminate())
  const starting = client.start('client')
  const socket = await raw.next()
  socket.write(welcome({ extensions: TOPICS }))
  await starting
  return { raw, client, socket }
}

const done = (number) => controlFrame(OPCODE.subscription, Buffer.from([number, 0, 0, 0, 0, 0]))
const outcomeOf = (promise) =>
  promise.then(
    () => 'done',
    ({ code }) => code
  )

test('an answer waits behind the messages that a pause holds, and the end behind the answer', async (t) => {
  const { client, socket } = await startRawPair(t, { allowHalfOpen: true })
  const log = []
  client.onMessage = (buffer, offset, length) => {
    log.push(buffer.toString('utf8', offset, offset + length))
    client.pause()
  }
  client.on('ended', () => log.push('ended'))
  const outcomes = ['a', 'b', 'c'].map((name) =>
    outcomeOf(client.unsubscribe(name)).then((outcome) => log.push(`${name}: ${outcome}`))
  )
  await socket.receives(30 + 3 * 9)
  const frames = [dataFrame('one'), dataFrame('two'), done(0), dataFrame('three'), done(1)]
  socket.socket.end(Buffer.concat(frames))
  const steps = [
    ['one'],
    ['two'],
    ['three', 'a: done'],
    // Promises are heard of when all handlers have run.
    ['ended', 'b: done', 'c: ZERIO_NOT_CONNECTED']
  ]
  for (const step of steps) {
    await until(() => log.length >= step.length)
    await sleep(20)
    t.deepEqual(log.splice(0), step)
    client.resume()
  }
  await Promise.all(outcomes)
})

test('a request waits behind the messages that a pause holds', async (t) => {
  const server = await startServer(t)
  server.topic('fx')
  const log = []
  server.onMessage = (peer, buffer, offset, length) => {
    log.push(buffer.toString('utf8', offset, offset + length))
    if (log.length === 1 || log.length === 4) peer.pause()
  }
  server.onSubscribe = (peer, name) => {
    log.push(`${name} ${peer.isPaused}`)
    return true
  }
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ extensions: TOPICS }))
  await raw.receives(30)
  const frames = [
    dataFrame('one'),
    dataFrame('two'),
    request(1, 'fx'),
    dataFrame('three'),
    request(2, 'last')
  ]
  raw.write(Buffer.concat(frames))
  await until(() => log.length === 1)
  await sleep(20)
  t.deepEqual(log, ['one'])
  server.peer('raw').resume()
  await until(() => log.length === 4)
  await sleep(20)
  t.deepEqual(log, ['one', 'two', 'fx false', 'three'])
  server.peer('raw').resume()
  const answers = framesOf((await raw.receives(50)).subarray(30))
  t.deepEqual(
    answers.map(({ payload }) => payload[0]),
    [1, 2]
  )
  t.is(log.at(-1), 'last false')
  // What is held comes before the end.
  log.length = 0
  raw.write(Buffer.concat([dataFrame('four'), request(3, 'fx')]))
  await until(() => log.length === 1)
  raw.socket.end()
  await once(server, 'clientDisconnected')
  t.deepEqual(log, ['four', 'fx true'])
})

test('a request that a pause holds is answered once when its session has another connection', async (t) => {
  const { server, path, client } = await startOverPath(
    t,
    { sessions: true },
    { session: true, reconnect: QUICKLY }
  )
  const log = []
  const peer = server.peer('client')
  server.onMessage = (_peer, buffer, offset, length) => {
    log.push(buffer.toString('utf8', offset, offset + length))
    if (log.length % 4 === 1) peer.pause()
  }
  server.onSubscribe = (_peer, name) => log.push(name) > 0
  server.topic('fx')
  for (let round = 0; round < 10; round++) {
    log.length = 0
    client.send(text('before'))
    const waits = client.subscribe('fx')
    client.send(text('after'))
    await until(() => log.length === 1)
    await sleep(5)
    path.break()
    await once(client, 'resumed')
    peer.resume()
    await waits
    await until(() => log.length === 3)
    t.deepEqual(log.sort(), ['after', 'before', 'fx'])
  }
  t.is(server.peer('client'), peer)
  t.is(server.counters.protocolErrors, 0)
})

test('a side that has ended asks for nothing, and is answered what it had asked', async (t) => {
  const { server, client } = await startPair(t, { allowHalfOpen: true })
  server.onSubscribe = () => true
  for (let i = 0; i < 10; i++) server.topic(`${i}`)
  const waits = Array.from({ length: 10 }, (_, i) => outcomeOf(client.subscribe(`${i}`)))
  client.end()
  await t.throwsAsync(client.subscribe('fx'), { code: 'ZERIO_NOT_CONNECTED', message: /this side has ended/ })
  t.deepEqual(await Promise.all(waits), [
    ...Array.from({ length: 8 }, () => 'done'),
    'ZERIO_NOT_CONNECTED',
    'ZERIO_NOT_CONNECTED'
  ])
  t.true(client.isConnected)
})

test('a server that has ended answers nothing', async (t) => {
  const { client, peer } = await startPair(t, { allowHalfOpen: true })
  const ended = once(client, 'ended')
  peer.end()
  await ended
  for (const method of ['subscribe', 'unsubscribe'])
    await t.throwsAsync(client[method]('fx'), {
      code: 'ZERIO_NOT_CONNECTED',
      message: /the other side has ended/
    })
  // What was asked before.
  const { client: other, socket } = await startRawPair(t, { allowHalfOpen: true })
  const waits = Array.from({ length: 10 }, (_, i) => outcomeOf(other.subscribe(`${i}`)))
  await socket.receives(30 + 8 * 9)
  socket.socket.end(done(0))
  t.deepEqual(await Promise.all(waits), ['done', ...Array.from({ length: 9 }, () => 'ZERIO_NOT_CONNECTED')])
})

test('what a half-closed connection did not answer again is asked for on the next one', async (t) => {
  const { raw, client, socket } = await startRawPair(t, { allowHalfOpen: true, reconnect: QUICKLY })
  const events = []
  client.on('subscribeRefused', (name) => events.push(name))
  const waits = Promise.all(['a', 'b'].map((name) => client.subscribe(name)))
  await socket.receives(30 + 18)
  socket.write(Buffer.concat([done(0), done(1)]))
  await waits
  socket.socket.resetAndDestroy()
  const namesOf = (bytes) => framesOf(bytes.subarray(30)).map(({ payload }) => String(payload.subarray(4)))
  const second = await raw.next()
  second.write(welcome({ extensions: TOPICS }))
  t.deepEqual(namesOf(await second.receives(30 + 18)), ['a', 'b'])
  const ended = once(client, 'ended')
  second.socket.end(done(2))
  await ended
  await t.throwsAsync(client.subscribe('c'), { code: 'ZERIO_NOT_CONNECTED' })
  second.socket.resetAndDestroy()
  // On some backends only a send notices that a half-open connection is broken.
  const sends = setInterval(() => client.send(text('x')), 5)
  const third = await raw.next()
  clearInterval(sends)
  const waiting = client.subscribe('c')
  third.write(welcome({ extensions: TOPICS }))
  t.deepEqual(namesOf(await third.receives(30 + 27)), ['a', 'b', 'c'])
  third.write(Buffer.concat([done(4), done(5), done(6)]))
  await waiting
  t.deepEqual(events, [])
})

test('a client that is in very many topics asks for all of them again', async (t) => {
  const count = 200_000
  const lines = []
  const line = () => {
    const asked = []
    const requestTopic = (_slot, _opcode, number, name) => asked.push([number, name])
    lines.push(asked)
    return { engine: { native: { requestTopic } }, ring: { slot: 0, status: SendStatus.Sent, publish() {} } }
  }
  const subscriptions = new Subscriptions(() => t.fail())
  subscriptions.connected(line(), true, false)
  const names = Array.from({ length: count }, (_, i) => `${i}`)
  const waits = names.map((name) => subscriptions.ask(OPCODE.subscribe, name))
  for (let i = 0; i < count; i++) subscriptions.answered(lines[0][i][0], 0, '')
  await Promise.all(waits)
  subscriptions.broken()
  subscriptions.connected(line(), true, false)
  for (let i = 0; i < count; i++) subscriptions.answered(lines[1][i][0], 0, '')
  for (const asked of lines) t.true(asked.length === count && asked.every(([, name], i) => name === names[i]))
})

test('a client that gives up, or loses its only connection, rejects what waits', async (t) => {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port })
  const starting = client.start('client')
  const socket = await raw.next()
  socket.write(welcome({ extensions: TOPICS }))
  await starting
  const waits = Array.from({ length: 10 }, (_, i) => client.subscribe(`${i}`))
  await socket.receives(30 + 8 * 9)
  socket.socket.destroy()
  for (const one of waits) await t.throwsAsync(one, { code: 'ZERIO_NOT_CONNECTED' })
  const again = new ZerioClient(
    { host: '127.0.0.1', port: raw.port },
    { reconnect: { ...QUICKLY, attemptsMax: 2 } }
  )
  const second = again.start('client')
  const other = await raw.next()
  other.write(welcome({ extensions: TOPICS }))
  await second
  raw.close()
  other.socket.destroy()
  await once(again, 'disconnected')
  await t.throwsAsync(again.subscribe('fx'), { code: 'ZERIO_NOT_CONNECTED' })
})

test('a stop while topics are asked for again is no refusal', async (t) => {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port }, { reconnect: QUICKLY })
  const events = []
  client.on('subscribeRefused', (name) => events.push(name))
  const starting = client.start('client')
  const first = await raw.next()
  first.write(welcome({ extensions: TOPICS }))
  await starting
  const subscribed = client.subscribe('fx')
  await first.receives(30 + 10)
  first.write(controlFrame(OPCODE.subscription, Buffer.alloc(6)))
  await subscribed
  first.socket.destroy()
  const second = await raw.next()
  second.write(welcome({ extensions: TOPICS }))
  await second.receives(30 + 10)
  client.terminate()
  await client.stop()
  await sleep(5)
  t.deepEqual(events, [])
  // Nothing of it is left for the next start.
  const again = client.start('client')
  const third = await raw.next()
  third.write(welcome({ extensions: TOPICS }))
  await again
  const last = client.subscribe('other')
  await third.receives(30 + 13)
  t.is(String(third.bytes.subarray(38)), 'other')
  client.terminate()
  await t.throwsAsync(last, { code: 'ZERIO_NOT_CONNECTED' })
})

const request = (number, name, opcode = OPCODE.subscribe) =>
  controlFrame(opcode, Buffer.concat([Buffer.from([number, 0, 0, 0]), Buffer.from(name)]))

const breaches = {
  'a request without a name': request(1, ''),
  'a request that is cut short': controlFrame(OPCODE.subscribe, Buffer.alloc(3)),
  'too long a name': request(1, 'x'.repeat(256)),
  'a name that is not UTF-8': request(1, [0xff]),
  'a name with a control character': request(1, 'a\nb', OPCODE.unsubscribe),
  'nine requests at once': Buffer.concat(Array.from({ length: 9 }, (_, i) => request(i, 'fx'))),
  'an answer': controlFrame(OPCODE.subscription, Buffer.alloc(6))
}
for (const [name, bytes] of Object.entries(breaches)) {
  test(`a server ends a connection that sends ${name}`, async (t) => {
    const server = await startServer(t)
    server.onSubscribe = () => true
    server.topic('fx')
    const raw = await connectRaw(t, server.listeningPort)
    raw.write(hello({ extensions: TOPICS }))
    await raw.receives(30)
    raw.write(bytes)
    const frames = framesOf((await raw.ends()).subarray(30))
    t.deepEqual(frames.at(-1), framesOf(farewell(OPCODE.close, CODE.protocolError))[0])
    t.is(server.counters.protocolErrors, 1)
    t.is(server.topic('fx').size, 0)
  })
}

test('eight requests at once are answered, and eight more behind the answers', async (t) => {
  const server = await startServer(t)
  server.onSubscribe = () => false
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ extensions: TOPICS }))
  for (let round = 1; round <= 3; round++) {
    raw.write(Buffer.concat(Array.from({ length: 8 }, (_, i) => request(i, 'fx'))))
    const answers = framesOf((await raw.receives(30 + 80 * round)).subarray(30))
    t.deepEqual(
      answers.slice(-8).map(({ channel, payload }) => [channel, payload[0], payload.readUInt16LE(4)]),
      Array.from({ length: 8 }, (_, i) => [OPCODE.subscription, i, 1022])
    )
  }
})

test('a client that reads no answers makes the server keep no more than a few', async (t) => {
  const server = await startServer(t, { socketSendBytes: 4608 })
  server.onSubscribe = () => false
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ extensions: TOPICS }))
  await raw.receives(30)
  raw.socket.pause()
  const peer = await until(() => server.peer('raw'))
  await until(() => {
    peer.send(Buffer.alloc(60_000))
    peer.flush()
    return peer.pendingBytes > 60_000
  })
  const left = once(server, 'clientDisconnected')
  for (let i = 0; i < 2000 && peer.isOpen; i++) {
    // The system's buffers grow.
    while (peer.send(Buffer.alloc(60_000)) === SendStatus.Sent);
    raw.write(request(i % 256, 'fx'))
    if (i % 8 === 0) await new Promise(setImmediate)
  }
  const [, reason] = await left
  t.is(reason.code, 'ZERIO_PROTOCOL_ERROR')
})

test('without TOPICS in HELLO, WELCOME is as before, and a request is an unknown frame', async (t) => {
  const server = await startServer(t)
  server.onSubscribe = () => true
  server.topic('fx')
  const raw = await connectNative(t, server)
  t.deepEqual(raw.bytes, welcome())
  raw.write(request(1, 'fx'))
  t.deepEqual((await raw.ends()).subarray(raw.greetingBytes), farewell(OPCODE.close, CODE.protocolError))
})

test('TOPICS that is not empty is malformed', async (t) => {
  const server = await startServer(t)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ extensions: Buffer.from([2, 0, 1, 0, 9]) }))
  t.deepEqual(await raw.ends(), farewell(OPCODE.reject, CODE.malformedHello))
  const other = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: other.port })
  const starting = client.start('client')
  ;(await other.next()).write(welcome({ extensions: Buffer.from([2, 0, 1, 0, 9]) }))
  await t.throwsAsync(starting, { code: 'ZERIO_HANDSHAKE_FAILED' })
})

const misanswers = {
  'an answer to no request': controlFrame(OPCODE.subscription, Buffer.alloc(6)),
  'a request': request(1, 'fx')
}
for (const [name, bytes] of Object.entries(misanswers)) {
  test(`a client ends a connection whose server sends ${name}`, async (t) => {
    const raw = await startRawServer(t)
    const client = new ZerioClient({ host: '127.0.0.1', port: raw.port })
    const starting = client.start('client')
    const socket = await raw.next()
    const ended = once(client, 'disconnected')
    socket.write(Buffer.concat([welcome({ extensions: TOPICS }), dataFrame('before'), bytes]))
    await starting
    t.is((await ended)[0].code, 'ZERIO_PROTOCOL_ERROR')
  })
}

test('a server that was made anew by its defaults has the same handler rules', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.is(server.onSubscribe, null)
  await server.start('server')
  t.teardown(() => server.stop())
  const client = await startClient(t, server)
  await t.throwsAsync(client.subscribe('fx'), REFUSED)
})
