// A server whose `authenticate` answers by a promise: newcomers wait, and end as others do.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { ZerioClient, ZerioError } from 'zerio'
import { runScript } from '../helpers/child.mjs'
import { collect, makeClient, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { CODE, connectRaw, dataFrame, framesOf, hello } from '../helpers/wire_raw.mjs'

/** A server that asks, and its open questions: { id, credential, info, resolve, reject }, by id. */
async function startAsking(t, options = {}) {
  const questions = new Map()
  const authenticate = (id, credential, info) =>
    new Promise((resolve, reject) => questions.set(id, { id, credential, info, resolve, reject }))
  const server = await startServer(t, { authenticate, ...options })
  const question = (id) => until(() => questions.get(id), `the question about ${id}`)
  return { server, questions, question }
}

const refusedCodes = (server) => {
  const codes = []
  server.on('refused', (reason, { count }) => codes.push(...new Array(count).fill(reason.code)))
  return codes
}

test('true and false, after a while, in any order', async (t) => {
  const { server, question } = await startAsking(t)
  const clients = ['one', 'two', 'three'].map((id) => ({ id, client: makeClient(t, server) }))
  const starts = clients.map(({ id, client }) => client.start(id))
  const denied = t.throwsAsync(starts[1], { instanceOf: ZerioError, code: 'ZERIO_UNAUTHORIZED' })
  for (const { id } of clients) await question(id)
  t.is(server.peerCount, 0)
  const third = await question('three')
  third.resolve(true)
  await starts[2]
  const second = await question('two')
  second.resolve(false)
  await denied
  const first = await question('one')
  first.resolve(true)
  await starts[0]
  t.deepEqual(server.peers.map(({ id }) => id).sort(), ['one', 'three'])
})

test('it gets the address, the protocol and the credential', async (t) => {
  const { server, question } = await startAsking(t)
  const native = makeClient(t, server, { credential: 'secret' })
  const started = native.start('native')
  const one = await question('native')
  t.is(one.credential.toString(), 'secret')
  t.is(one.info.protocol, 'native')
  one.resolve(true)
  await started
  t.is(one.info.remoteAddress, native.localAddress)
  const classic = makeClient(t, server, { protocol: 'classic' })
  const other = classic.start('classic')
  const two = await question('classic')
  t.is(two.info.protocol, 'classic')
  t.is(two.credential.length, 0)
  two.resolve(true)
  await other
  t.is(server.peer('classic').protocol, 'classic')
})

test('a rejection, and what is neither true nor false, refuse the peer and are reported', async (t) => {
  const { server, question } = await startAsking(t)
  const errors = []
  server.on('error', (error) => errors.push(error))
  const cause = new Error('the directory is down')
  for (const [id, answer] of [
    ['rejected', (one) => one.reject(cause)],
    ['odd', (one) => one.resolve('yes')]
  ]) {
    const start = t.throwsAsync(makeClient(t, server).start(id), { code: 'ZERIO_UNAUTHORIZED' })
    answer(await question(id))
    await start
  }
  t.deepEqual(
    errors.map(({ code }) => code),
    ['ZERIO_AUTHENTICATE_FAILED', 'ZERIO_AUTHENTICATE_FAILED']
  )
  t.is(errors[0].cause, cause)
  t.regex(errors[0].message, /rejected for the peer 'rejected'/)
  t.regex(errors[1].message, /a promise of one, not 'yes'/)
})

test('messages before and after: those that came early are delivered first', async (t) => {
  const { server, question } = await startAsking(t)
  const messages = collect(server)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(Buffer.concat([hello({ id: 'hasty' }), dataFrame('one'), dataFrame('two', 5)]))
  const one = await question('hasty')
  raw.write(dataFrame('three'))
  await pause(30)
  raw.write(dataFrame('four').subarray(0, 5))
  await pause(30)
  t.is(server.peerCount, 0)
  one.resolve(true)
  await until(() => server.peerCount === 1)
  raw.write(dataFrame('four').subarray(5))
  await until(() => messages.length === 4)
  t.deepEqual(
    messages.map(({ bytes, channel }) => `${bytes} ${channel}`),
    ['one 0', 'two 5', 'three 0', 'four 0']
  )
})

test('who sends more than a little before the verdict breaks the protocol', async (t) => {
  for (const together of [true, false]) {
    const { server, question } = await startAsking(t)
    const codes = refusedCodes(server)
    const raw = await connectRaw(t, server.listeningPort)
    const much = Buffer.alloc(2000)
    raw.write(together ? Buffer.concat([hello({ id: 'flood' }), much]) : hello({ id: 'flood' }))
    const one = await question('flood')
    if (!together) raw.write(much)
    const [frame] = framesOf(await raw.ends())
    t.is(frame.payload.readUInt16LE(0), CODE.protocolError)
    one.resolve(true)
    await until(() => codes.length > 0)
    t.deepEqual(codes, ['ZERIO_PROTOCOL_ERROR'])
    t.is(server.peerCount, 0)
  }
})

test('who leaves, or is too slow, is gone, and its late verdict concerns no other', async (t) => {
  const { server, questions, question } = await startAsking(t, { handshakeTimeoutMs: 1000 })
  const codes = refusedCodes(server)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ id: 'leaves' }))
  const first = await question('leaves')
  raw.socket.destroy()
  await until(() => codes.length === 1)
  const late = await t.throwsAsync(makeClient(t, server).start('slow'), { code: 'ZERIO_HANDSHAKE_TIMEOUT' })
  t.regex(late.message, /in time/)
  // These take the slots of the two.
  const others = ['third', 'fourth'].map((id) => makeClient(t, server).start(id))
  const denied = others.map((one) => t.throwsAsync(one, { code: 'ZERIO_UNAUTHORIZED' }))
  const asked = await Promise.all([question('third'), question('fourth')])
  first.resolve(true)
  questions.get('slow')?.resolve(true)
  await pause(10)
  t.is(server.peerCount, 0)
  for (const one of asked) one.resolve(false)
  await Promise.all(denied)
})

test('stop, of the server and of the client, does not wait for a verdict', async (t) => {
  const { server, question } = await startAsking(t)
  const client = makeClient(t, server)
  const started = t.throwsAsync(client.start('first'), { code: 'ZERIO_STOPPED' })
  const first = await question('first')
  await client.stop()
  await started
  const codes = refusedCodes(server)
  const refused = t.throwsAsync(makeClient(t, server).start('second'), { code: 'ZERIO_GOING_AWAY' })
  const second = await question('second')
  await server.stop()
  await refused
  // The client before may have left later than the server has stopped.
  t.deepEqual(
    codes.filter((code) => code !== 'ZERIO_PEER_LEFT'),
    ['ZERIO_GOING_AWAY']
  )
  first.resolve(true)
  second.resolve(true)
  await pause(5)
  await server.start('server')
  t.is(server.peerCount, 0)
})

test('a verdict of its own rank: duplicates and a full server are found when it is carried out', async (t) => {
  const { server, question } = await startAsking(t, { maxPeers: 1 })
  const one = makeClient(t, server)
  const started = one.start('same')
  const first = await question('same')
  first.resolve(true)
  await started
  const full = t.throwsAsync(makeClient(t, server).start('other'), { code: 'ZERIO_SERVER_FULL' })
  const other = await question('other')
  other.resolve(true)
  await full
  t.is(server.peerCount, 1)
})

test('waiting newcomers count as handshakes and keep their places: a silent one is closed for the next, or the next itself', async (t) => {
  const { server, questions, question } = await startAsking(t, {
    maxHandshakes: 4,
    handshakeTimeoutMs: 60_000
  })
  const codes = refusedCodes(server)
  const silent = await connectRaw(t, server.listeningPort)
  await until(() => server.counters.handshakes === 1)
  const raws = []
  for (let i = 0; i < 10; i++) {
    const raw = await connectRaw(t, server.listeningPort)
    raw.write(hello({ id: `newcomer-${i}` }))
    raws.push(raw)
    await until(() => (i < 4 ? questions.has(`newcomer-${i}`) : codes.length === i - 2))
  }
  await silent.ends()
  await Promise.all(raws.slice(4).map((raw) => raw.ends()))
  t.deepEqual(codes, new Array(7).fill('ZERIO_TOO_MANY_HANDSHAKES'))
  for (let i = 0; i < 4; i++) (await question(`newcomer-${i}`)).resolve(true)
  await until(() => server.peerCount === 4)
})

test('hundreds at once, with answers that take turns', async (t) => {
  const authenticate = async (id) => {
    await pause(Number(id.slice(2)) % 7)
    return Number(id.slice(2)) % 2 === 0
  }
  const server = await startServer(t, { authenticate })
  const outcomes = await Promise.allSettled(
    Array.from({ length: 300 }, (_, i) =>
      new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }).start(`n-${i}`)
    )
  )
  t.true(
    outcomes.every(({ status, reason }, i) =>
      i % 2 === 0 ? status === 'fulfilled' : reason.code === 'ZERIO_UNAUTHORIZED'
    )
  )
  t.is(server.peerCount, 150)
})

test('with manual, the next poll carries the verdict out', async (t) => {
  const { server, questions } = await startAsking(t, { waitStrategy: 'manual' })
  const client = makeClient(t, server)
  const started = client.start('client')
  await until(() => server.poll() >= 0 && questions.has('client'))
  questions.get('client').resolve(true)
  await until(() => server.poll() >= 0 && server.peerCount === 1)
  await started
  const connected = client.isConnected
  t.true(connected)
})

test('answers at once are as before', async (t) => {
  const server = await startServer(t, { authenticate: (id) => id === 'friend' })
  const friend = await startClient(t, server, 'friend')
  t.true(friend.isConnected)
  const refused = once(server, 'refused')
  await t.throwsAsync(makeClient(t, server).start('other'), { code: 'ZERIO_UNAUTHORIZED' })
  const [reason] = await refused
  t.is(reason.code, 'ZERIO_UNAUTHORIZED')
})

test('early bytes are counted as all others', async (t) => {
  const { server, question } = await startAsking(t)
  const raw = await connectRaw(t, server.listeningPort)
  const greeting = hello({ id: 'raw' })
  raw.write(greeting)
  const one = await question('raw')
  raw.write(dataFrame('early'))
  await pause(30)
  one.resolve(true)
  const peer = await until(() => server.peer('raw'))
  await until(() => peer.counters.messagesReceived === 1)
  const bytes = greeting.length + dataFrame('early').length
  t.is(peer.counters.bytesReceived, bytes)
  t.is(server.counters.bytesReceived, bytes)
})

test('a rejection after the end is not reported', async (t) => {
  const { server, question } = await startAsking(t)
  const errors = []
  server.on('error', (error) => errors.push(error))
  const client = makeClient(t, server)
  const started = t.throwsAsync(client.start('gone'))
  const one = await question('gone')
  await client.stop()
  await started
  await server.stop()
  one.reject(new Error('too late'))
  await pause(5)
  t.deepEqual(errors, [])
})

test('an exception of an error listener is the program’s', async (t) => {
  for (const verdict of ["'yes'", "Promise.resolve('yes')", "Promise.reject(new Error('no'))"]) {
    const { code, stdout } = await runScript(`
      import { ZerioClient, ZerioServer } from 'zerio'
      process.on('uncaughtException', (error, origin) => console.log(origin, error.message))
      const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { authenticate: () => ${verdict} })
      server.on('error', () => { throw new Error('mine') })
      await server.start('server')
      const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
      await client.start('client').catch(({ code }) => console.log(code))
      await server.stop()`)
    t.is(code, 0)
    t.deepEqual(stdout.trim().split('\n').sort(), ['ZERIO_UNAUTHORIZED', 'uncaughtException mine'], verdict)
  }
})
