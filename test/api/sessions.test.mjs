// Sessions: messages that were accepted survive a broken connection, exactly once and in order, or the program learns how many did not.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { BrokenPath } from '../helpers/broken_path.mjs'
import { makeClient, ownEngine, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import { CODE, connectRaw, dataFrame, framesOf, hello, OPCODE } from '../helpers/wire_raw.mjs'

const QUICKLY = { delayMs: 1, delayMsMax: 20 }

/** A server with sessions, a path to it that can break, and a client with a session over it. */
async function startSession(t, { server: serverOptions, client: clientOptions } = {}) {
  const server = await startServer(t, { sessions: true, ...serverOptions })
  const path = await BrokenPath.start(t, server.listeningPort)
  const options = { session: true, reconnect: QUICKLY, ...clientOptions }
  const client = new ZerioClient({ host: '127.0.0.1', port: path.port }, options)
  t.teardown(() => client.terminate())
  const events = []
  for (const name of ['connected', 'suspended', 'resumed', 'disconnected', 'reconnectFailed'])
    client.on(name, (what) => events.push(what === undefined ? name : `${name} ${what.code}`))
  for (const name of ['clientConnected', 'clientSuspended', 'clientResumed', 'clientDisconnected'])
    server.on(name, (_id, what) => events.push(what.code === undefined ? name : `${name} ${what.code}`))
  await client.start('client')
  const peer = await until(() => server.peer('client'))
  return { server, path, client, peer, events }
}

/** The numbers that arrive at `end`, a client or a peer, in order. */
function numbersAt(end) {
  const numbers = []
  end.onMessage = (...args) => {
    const [buffer, offset] = args.length === 5 ? args.slice(1) : args
    numbers.push(buffer.readUInt32LE(offset))
  }
  return numbers
}

/** Sends numbers, each in a message of another length, as long as they are accepted. */
class Sender {
  next = 0
  #bytes = Buffer.alloc(300)
  constructor(end) {
    this.end = end
  }
  send(count) {
    for (let i = 0; i < count; i++) {
      this.#bytes.writeUInt32LE(this.next)
      if (this.end.send(this.#bytes, 0, 4 + (this.next % 250)) !== SendStatus.Sent) return
      this.next++
    }
  }
}

const turn = () => new Promise(setImmediate)
const upTo = (count) => Array.from({ length: count }, (_, i) => i)

for (const how of ['reset', 'end']) {
  test(`a connection that breaks (${how}) loses nothing, in neither direction`, async (t) => {
    const { path, client, peer, events, server } = await startSession(t)
    const atClient = numbersAt(client)
    const atPeer = numbersAt(peer)
    const senders = [new Sender(client), new Sender(peer)]
    const some = async () => {
      for (let i = 0; i < 5; i++) {
        for (const sender of senders) sender.send(20)
        await turn()
      }
    }
    for (let round = 1; round <= 5; round++) {
      await some()
      path.break(how)
      await some()
      await until(() => atPeer.length >= senders[0].next && atClient.length >= senders[1].next)
      t.true(server.counters.resumed >= round)
    }
    t.deepEqual(atPeer, upTo(1000))
    t.deepEqual(atClient, upTo(1000))
    t.is(events.filter((one) => one === 'resumed').length, server.counters.resumed)
    t.is(events.filter((one) => one.startsWith('suspended')).length, server.counters.resumed)
    t.is(events.filter((one) => one === 'connected').length, 1)
    t.is(server.peer('client'), peer)
    t.is(server.peerCount, 1)
    await until(() => client.pendingBytes === 0 && peer.pendingBytes === 0)
  })
}

test('messages are accepted while the session is suspended, until the ring is full', async (t) => {
  const { path, client, peer, server, events } = await startSession(t, {
    server: { sendRingBytes: 16384, maxMessageLength: 1000 },
    client: { sendRingBytes: 16384, maxMessageLength: 1000 }
  })
  const atClient = numbersAt(client)
  const atPeer = numbersAt(peer)
  path.open = false
  path.break()
  await until(() => client.state === 'suspended' && peer.state === 'suspended')
  t.false(client.isConnected)
  t.true(peer.isOpen)
  t.is(server.counters.suspended, 1)
  t.is(server.peerCount, 1)
  const senders = [new Sender(client), new Sender(peer)]
  for (const sender of senders) sender.send(1000)
  for (const { next } of senders) t.true(next > 90 && next < 1000, `${next}`)
  t.is(client.send(Buffer.alloc(900)), SendStatus.BackPressured)
  const drained = [once(client, 'drain'), once(server, 'drain')]
  t.is(peer.send(Buffer.alloc(900)), SendStatus.BackPressured)
  path.open = true
  await until(() => client.isConnected && peer.state === 'open')
  await Promise.all(drained)
  await until(() => atClient.length === senders[1].next && atPeer.length === senders[0].next)
  t.deepEqual(atClient, upTo(senders[1].next))
  t.deepEqual(atPeer, upTo(senders[0].next))
  t.deepEqual(
    events.filter((one) => !one.includes('uspended')),
    ['connected', 'clientConnected', 'clientResumed', 'resumed'].sort((one) => (one === events[0] ? -1 : 0))
  )
  t.is(server.counters.suspended, 0)
})

test('the counters of a peer go on, and its addresses are those of the new connection', async (t) => {
  const { path, client, peer } = await startSession(t)
  const atPeer = numbersAt(peer)
  const sender = new Sender(client)
  sender.send(10)
  await until(() => atPeer.length === 10)
  const { remoteAddress } = peer
  path.break()
  await until(() => peer.state === 'suspended')
  sender.send(5)
  await until(() => atPeer.length === 15)
  t.is(peer.counters.messagesReceived, 15)
  t.is(client.counters.messagesSent, 15)
  t.not(peer.remoteAddress, remoteAddress)
  t.is(client.localAddress.split(':').length, 2)
})

test('a server that was started anew does not know the session: it is lost, with what was not acknowledged', async (t) => {
  const { path, client, server, events } = await startSession(t)
  path.open = false
  path.break()
  await until(() => client.state === 'suspended')
  new Sender(client).send(7)
  const { listeningPort: port } = server
  await server.stop()
  const second = new ZerioServer({ host: '127.0.0.1', port }, { sessions: true })
  t.teardown(() => second.stop())
  await second.start('second')
  const lost = once(client, 'disconnected')
  const again = once(client, 'connected')
  path.open = true
  const [reason] = await lost
  t.is(reason.code, 'ZERIO_SESSION_LOST')
  t.is(reason.closeCode, 1020)
  t.is(reason.unacknowledged, 7)
  await again
  t.is(client.serverId, 'second')
  t.is(events.filter((one) => one.startsWith('disconnected')).length, 1)
  t.is(second.counters.sessionsLost, 1)
})

test('a session that is not resumed in time is lost on both sides', async (t) => {
  const { path, client, peer, events, server } = await startSession(t, {
    server: { sessions: { resumeMsMax: 150 } },
    client: { session: { resumeMs: 100 } }
  })
  path.open = false
  path.break()
  await until(() => peer.state === 'suspended' && client.state === 'suspended')
  new Sender(peer).send(3)
  const [id, reason] = await once(server, 'clientDisconnected')
  t.is(id, 'client')
  t.is(reason.code, 'ZERIO_SESSION_LOST')
  t.is(reason.unacknowledged, 3)
  t.is(peer.state, 'closed')
  await until(() => events.includes('disconnected ZERIO_SESSION_LOST'))
  t.is(peer.send(Buffer.alloc(1)), SendStatus.Closed)
  path.open = true
  await until(() => client.isConnected)
  t.is(server.peerCount, 1)
  t.not(server.peer('client'), peer)
})

test('stop ends a suspended session on the side that calls it', async (t) => {
  const { path, client, peer, server, events } = await startSession(t)
  path.open = false
  path.break()
  await until(() => peer.state === 'suspended' && client.state === 'suspended')
  await client.stop()
  t.is(client.state, 'idle')
  t.true(events.includes('disconnected ZERIO_NORMAL'))
  peer.close(4001, 'enough')
  const [, reason] = await once(server, 'clientDisconnected')
  t.is(reason.closeCode, 4001)
  t.true(reason.local)
  t.is(server.peerCount, 0)
})

test('a client that stops while the answer to its HELLO is there says no CLOSE for what it never sent', async (t) => {
  // More clients than ends are carried out in one poll, so that answers of the others are read before their ends.
  const count = 12
  const verdicts = []
  let postponed = false
  const authenticate = () => !postponed || new Promise((resolve) => verdicts.push(resolve))
  const server = await startServer(t, { sessions: { resumeMsMax: 2000 }, authenticate })
  const path = await BrokenPath.start(t, server.listeningPort)
  const options = ownEngine({ waitStrategy: 'manual', session: true, reconnect: QUICKLY })
  const clients = Array.from(
    { length: count },
    () => new ZerioClient({ host: '127.0.0.1', port: path.port }, options)
  )
  const polled = (condition) => pollUntil(clients[0], condition)
  const started = Promise.all(clients.map((client, i) => client.start(`client ${i}`)))
  await polled(() => server.peerCount === count && clients.every((client) => client.isConnected))
  await started
  postponed = true
  path.break()
  await polled(
    () => server.counters.suspended === count && clients.every((client) => client.state === 'suspended')
  )
  for (const client of clients) t.is(client.send(Buffer.from('accepted')), SendStatus.Sent)
  await polled(() => verdicts.length === count)
  for (const admit of verdicts) admit(true)
  await until(() => server.counters.resumed === count)
  await sleep(20)
  const ends = []
  server.on('clientDisconnected', (_id, reason) => ends.push(reason.code))
  const stopped = Promise.all(clients.map((client) => client.stop()))
  await polled(() => clients.every((client) => client.state === 'idle'))
  await stopped
  await until(() => ends.length === count)
  t.deepEqual(ends, Array(count).fill('ZERIO_SESSION_LOST'))
})

test('a server that stops ends suspended sessions', async (t) => {
  const { path, client, peer, server } = await startSession(t)
  path.open = false
  path.break()
  await until(() => peer.state === 'suspended')
  await server.stop()
  t.is(peer.state, 'closed')
  await client.stop()
})

test('CLOSE ends a session: there is nothing to resume', async (t) => {
  const { client, peer, server, events } = await startSession(t)
  peer.close()
  await until(() => events.some((one) => one.startsWith('disconnected')))
  t.true(events.includes('disconnected ZERIO_NORMAL'))
  await until(() => client.isConnected)
  t.false(events.some((one) => one.startsWith('suspended')))
  await client.stop()
  await until(() => server.peerCount === 0)
})

test('a server without sessions refuses a client that wants one', async (t) => {
  const server = await startServer(t)
  const client = makeClient(t, server, { session: true })
  await t.throwsAsync(client.start('client'), { code: 'ZERIO_NO_SESSIONS' })
  await until(() => server.peerCount === 0)
})

test('classic has no sessions', (t) => {
  t.throws(() => new ZerioClient(1, { session: true, protocol: 'classic' }), { code: 'ZERIO_BAD_OPTION' })
})

test('more sessions than sessionsMax are refused', async (t) => {
  const server = await startServer(t, { sessions: { sessionsMax: 1 } })
  const one = makeClient(t, server, { session: true })
  await one.start('one')
  const two = makeClient(t, server, { session: true })
  await t.throwsAsync(two.start('two'), { code: 'ZERIO_SERVER_FULL' })
  const without = makeClient(t, server)
  await without.start('without')
  await one.stop()
  await until(() => server.peerCount === 1)
  await two.start('two')
  t.pass()
})

test('a newcomer that is refused replaces no peer', async (t) => {
  const server = await startServer(t, { sessions: { sessionsMax: 1 }, duplicateIds: 'replace' })
  const one = makeClient(t, server, { session: true })
  await one.start('one')
  const without = makeClient(t, server)
  await without.start('same')
  const newcomer = makeClient(t, server, { session: true })
  await t.throwsAsync(newcomer.start('same'), { code: 'ZERIO_SERVER_FULL' })
  t.is(server.peer('same')?.state, 'open')
  t.true(without.isConnected)
  // What it replaces makes room for it.
  const again = makeClient(t, server, { session: true })
  await again.start('one')
  t.is(server.peerCount, 2)
})

// ---- On the wire

const NEW = Buffer.alloc(16)

/** The extension SESSION of a HELLO. */
function session(token, received = 0n) {
  const bytes = Buffer.alloc(28)
  bytes.writeUInt16LE(1, 0)
  bytes.writeUInt16LE(24, 2)
  token.copy(bytes, 4)
  bytes.writeBigUInt64LE(received, 20)
  return bytes
}

const ack = (received) => {
  const frame = Buffer.alloc(12)
  frame.writeUInt32LE(0x87000008)
  frame.writeBigUInt64LE(received, 4)
  return frame
}

/** A raw client with a session: its first answer is { opcode, code } or { token, received, keepMs }. */
async function greet(t, server, fields, token = NEW, received = 0n) {
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ extensions: session(token, received), ...fields }))
  const bytes = await until(() => raw.bytes.length >= 6 && raw.bytes)
  const [{ channel, payload }] = framesOf(bytes)
  if (channel === OPCODE.reject) return { raw, code: payload.readUInt16LE(0) }
  const at = 16 + payload.readUInt16LE(6)
  return {
    raw,
    token: payload.subarray(at + 4, at + 20),
    received: payload.readBigUInt64LE(at + 20),
    keepMs: payload.readUInt32LE(at + 28)
  }
}

test('a token resumes nothing without the id and the credential of its owner', async (t) => {
  const server = await startServer(t, { sessions: { resumeMsMax: 5000 } })
  const owner = await greet(t, server, { id: 'owner', credential: 'secret' })
  t.is(owner.token.length, 16)
  t.notDeepEqual(owner.token, NEW)
  t.is(owner.keepMs, 5000)
  t.is(owner.received, 0n)
  for (const fields of [
    { id: 'owner', credential: 'other' },
    { id: 'owner' },
    { id: 'thief', credential: 'secret' }
  ])
    t.is((await greet(t, server, fields, owner.token)).code, 1020, JSON.stringify(fields))
  const guessed = Buffer.from(owner.token)
  guessed[15] ^= 1
  t.is((await greet(t, server, { id: 'owner', credential: 'secret' }, guessed)).code, 1020)
  t.is(server.counters.sessionsLost, 4)
  t.is(server.peer('owner').state, 'open')
  const again = await greet(t, server, { id: 'owner', credential: 'secret' }, owner.token)
  t.deepEqual(again.token, owner.token)
  t.is(server.counters.resumed, 1)
  t.is(server.peerCount, 1)
  await owner.raw.ends()
})

test('with authenticate the program decides whose token it is', async (t) => {
  const asked = []
  const server = await startServer(t, {
    sessions: true,
    authenticate: async (id, credential) => {
      asked.push(`${id} ${credential}`)
      await turn()
      return credential.toString() !== 'wrong'
    }
  })
  const one = await greet(t, server, { id: 'one', credential: 'first' })
  t.is((await greet(t, server, { id: 'one', credential: 'wrong' }, one.token)).code, 1018)
  const again = await greet(t, server, { id: 'one', credential: 'renewed' }, one.token)
  t.deepEqual(again.token, one.token)
  t.deepEqual(asked, ['one first', 'one wrong', 'one renewed'])
})

test('a peer that comes without its token begins anew', async (t) => {
  const { path, client, peer, server } = await startSession(t)
  path.open = false
  path.break()
  await until(() => peer.state === 'suspended')
  const left = once(server, 'clientDisconnected')
  await greet(t, server, { id: 'client' })
  const [, reason] = await left
  t.is(reason.code, 'ZERIO_REPLACED')
  t.is(server.peerCount, 1)
  await client.stop()
})

test('an ACK of more than was sent, a lower one, and one without a session break the protocol', async (t) => {
  const server = await startServer(t, { sessions: true })
  const closeOf = async (raw) => {
    await raw.ends()
    const last = framesOf(raw.bytes).at(-1)
    return last.channel === OPCODE.close ? last.payload.readUInt16LE(0) : undefined
  }
  const tooMany = await greet(t, server, { id: 'a' })
  server.send('a', Buffer.from('one'))
  tooMany.raw.write(ack(2n))
  t.is(await closeOf(tooMany.raw), 1002)
  const lower = await greet(t, server, { id: 'b' })
  server.send('b', Buffer.from('one'))
  await until(() => framesOf(lower.raw.bytes).length === 2)
  lower.raw.write(Buffer.concat([ack(1n), ack(0n)]))
  t.is(await closeOf(lower.raw), 1002)
  const without = await connectRaw(t, server.listeningPort)
  without.write(Buffer.concat([hello({ id: 'c' }), ack(0n)]))
  t.is(await closeOf(without), 1002)
  await until(() => server.counters.protocolErrors === 3)
})

test('who says that it has received more than was sent resumes nothing', async (t) => {
  const server = await startServer(t, { sessions: true })
  const one = await greet(t, server, { id: 'one' })
  const liar = await greet(t, server, { id: 'one' }, one.token, 5n)
  await liar.raw.ends()
  t.is(framesOf(liar.raw.bytes).at(-1).payload.readUInt16LE(0), 1002)
  await until(() => server.peerCount === 0)
})

test('messages are acknowledged, and those that were not are sent again', async (t) => {
  const server = await startServer(t, { sessions: true })
  const received = []
  server.on('message', (_id, bytes) => received.push(bytes.toString()))
  const message = (text) => Buffer.concat([Buffer.from([text.length, 0, 0, 0]), Buffer.from(text)])
  const first = await greet(t, server, { id: 'one' })
  first.raw.write(Buffer.concat([message('a'), message('b')]))
  // After 10 ms without a message of the server's own.
  const acked = await until(() =>
    framesOf(first.raw.bytes).find(({ control, channel }) => control && channel === 7)
  )
  t.is(acked.payload.readBigUInt64LE(0), 2n)
  for (const text of ['x', 'y', 'z']) server.send('one', Buffer.from(text))
  await until(() => framesOf(first.raw.bytes).filter(({ control }) => !control).length === 3)
  first.raw.socket.resetAndDestroy()
  await until(() => server.peer('one').state === 'suspended')
  const second = await greet(t, server, { id: 'one' }, first.token, 1n)
  t.is(second.received, 2n)
  const texts = () =>
    framesOf(second.raw.bytes)
      .filter(({ control }) => !control)
      .map(({ payload }) => payload.toString())
  await until(() => texts().length === 2)
  t.deepEqual(texts(), ['y', 'z'])
  t.deepEqual(received, ['a', 'b'])
})

test('a newcomer needs the credential to take the place of a suspended peer', async (t) => {
  const server = await startServer(t, { sessions: true })
  const owner = await greet(t, server, { id: 'owner', credential: 'secret' })
  owner.raw.socket.resetAndDestroy()
  await until(() => server.peer('owner').state === 'suspended')
  const other = await connectRaw(t, server.listeningPort)
  other.write(hello({ id: 'owner' }))
  t.is(framesOf(await other.ends())[0].payload.readUInt16LE(0), 1014)
  t.is((await greet(t, server, { id: 'owner', credential: 'other' })).code, 1014)
  t.is(server.peer('owner').state, 'suspended')
  t.is((await greet(t, server, { id: 'owner', credential: 'secret' })).code, undefined)
  t.is(server.peerCount, 1)
})

test('a HELLO that comes late, after its client was connected again, ends nothing', async (t) => {
  const server = await startServer(t, { sessions: true })
  const one = await greet(t, server, { id: 'one' })
  server.send('one', Buffer.from('a'))
  await until(() => framesOf(one.raw.bytes).length === 2)
  one.raw.write(ack(1n))
  await until(() => server.peer('one').pendingBytes === 0)
  t.is((await greet(t, server, { id: 'one' }, one.token, 0n)).code, 1020)
  t.is(server.peer('one').state, 'open')
  t.false(one.raw.ended)
})

const CLOSE_FRAME = Buffer.from([2, 0, 0, 0x86, 0xe8, 3])

test('a peer that resumes and leaves in one breath: its end says what it has not acknowledged', async (t) => {
  const server = await startServer(t, { sessions: true })
  const events = []
  server.on('clientResumed', () => events.push('resumed'))
  server.on('clientDisconnected', (_id, reason) => events.push([reason.code, reason.unacknowledged]))
  const one = await greet(t, server, { id: 'one' })
  for (const text of ['a', 'b', 'c']) server.send('one', Buffer.from(text))
  await until(() => framesOf(one.raw.bytes).length === 4)
  one.raw.socket.resetAndDestroy()
  await until(() => server.peer('one').state === 'suspended')
  const again = await connectRaw(t, server.listeningPort)
  again.write(Buffer.concat([hello({ id: 'one', extensions: session(one.token, 1n) }), CLOSE_FRAME]))
  await until(() => events.length > 0)
  t.deepEqual(events.at(-1)[0], 'ZERIO_NORMAL')
  t.true(events.at(-1)[1] >= 2)
  t.is(events.filter((one) => one !== 'resumed').length, 1)
  t.is(server.peerCount, 0)
})

test('resumed comes first, also when the end comes in the same batch', async (t) => {
  const { server, path, client, events } = await startSession(t)
  server.on('clientResumed', (_id, peer) => {
    peer.send(Buffer.from('last'))
    peer.close(4001)
  })
  client.onMessage = () => events.push('message')
  path.break()
  await until(() => events.includes('disconnected ZERIO_APPLICATION'))
  const ofClient = [
    'connected',
    'suspended ECONNRESET',
    'resumed',
    'message',
    'disconnected ZERIO_APPLICATION'
  ]
  t.deepEqual(
    events.filter((one) => ofClient.includes(one)),
    ofClient
  )

  // The same for the server.
  const order = []
  const raws = await startServer(t, { sessions: true })
  raws.on('clientResumed', () => order.push('resumed'))
  raws.on('clientDisconnected', (_id, { code }) => order.push(code))
  raws.onMessage = () => order.push('message')
  const one = await greet(t, raws, { id: 'one' })
  one.raw.socket.resetAndDestroy()
  await until(() => raws.peer('one').state === 'suspended')
  const again = await connectRaw(t, raws.listeningPort)
  const words = [hello({ id: 'one', extensions: session(one.token) }), dataFrame('x'), CLOSE_FRAME]
  again.write(Buffer.concat(words))
  await until(() => order.length === 3)
  t.deepEqual(order, ['resumed', 'message', 'ZERIO_NORMAL'])
})

test('a new session begins with nothing received', async (t) => {
  const server = await startServer(t, { sessions: true })
  t.is((await greet(t, server, { id: 'one' }, NEW, 1n)).code, CODE.malformedHello)
  t.is(server.counters.sessionsLost, 0)
})

test('attemptsMax counts failed attempts in a row, also when the session ends between them', async (t) => {
  for (const [reconnect, resumeMs] of [
    [{ delayMs: 20, factor: 1, jitter: 0, attemptsMax: 8 }, 100],
    // Its last attempt waits when the time of the session is over.
    [{ delayMs: 5, delayMsMax: 200, factor: 100, jitter: 0, attemptsMax: 2 }, 50]
  ]) {
    const { path, client } = await startSession(t, { client: { session: { resumeMs }, reconnect } })
    const attempts = []
    client.on('reconnecting', ({ attempt }) => attempts.push(attempt))
    const failed = once(client, 'reconnectFailed')
    path.open = false
    path.break()
    const [error] = await failed
    t.true(error instanceof ZerioError)
    t.regex(error.message, /[.]$/)
    // The one that the end of the session interrupted was announced twice.
    t.is(attempts.length, reconnect.attemptsMax + 1)
    t.deepEqual(
      [...new Set(attempts)],
      upTo(reconnect.attemptsMax).map((n) => n + 1)
    )
  }
})

test('a server that has lost the session gets its client back at once, whatever attempts there were', async (t) => {
  const reconnect = { delayMs: 50, factor: 4, jitter: 0, attemptsMax: 2 }
  const { server, path, client, events } = await startSession(t, { client: { reconnect } })
  const port = server.listeningPort
  const attempts = []
  client.on('reconnecting', ({ attempt }) => attempts.push(attempt))
  path.open = false
  path.break()
  await server.stop()
  // Another process would have forgotten the session, and so has another server.
  const other = new ZerioServer({ host: '127.0.0.1', port }, { sessions: true })
  t.teardown(() => other.stop())
  await other.start('other')
  // The last one.
  await until(() => attempts.length === 2)
  path.open = true
  await until(() => events.filter((one) => one === 'connected').length === 2)
  t.true(events.includes('disconnected ZERIO_SESSION_LOST'))
  t.is(other.peerCount, 1)
})

test('CLOSE is the last frame, behind the ACK', async (t) => {
  const server = await startServer(t, { sessions: true })
  const one = await greet(t, server, { id: 'one' })
  const count = new Promise((resolve) => {
    server.onMessage = (peer) => {
      peer.close()
      resolve()
    }
  })
  one.raw.write(Buffer.concat([Buffer.from([0, 8, 0, 0]), Buffer.alloc(2048)]))
  await count
  const frames = framesOf(await one.raw.ends()).map(({ channel }) => channel)
  t.deepEqual(frames, [OPCODE.welcome, 7, OPCODE.close])
})
