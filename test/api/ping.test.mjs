// ping: the time until the other side's engine has answered, one question at a time, and an error when no answer can come.
import test from 'ava'
import { ZerioClient } from 'zerio'
import { fillRing, makeClient, ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import {
  connectNative,
  connectRaw,
  controlFrame,
  dataFrame,
  framesOf,
  OPCODE,
  startRawServer,
  welcome
} from '../helpers/wire_raw.mjs'

const pingsOf = (raw) =>
  framesOf(raw.bytes.subarray(raw.greetingBytes ?? 0)).filter(
    (frame) => frame.control && frame.channel === OPCODE.ping
  )
const pong = ({ payload }) => controlFrame(OPCODE.pong, payload)

test('both sides ask, and rttUs is the last answer', async (t) => {
  const { client, peer } = await startPair(t)
  for (const one of [client, peer]) {
    t.is(one.rttUs, Number.NaN)
    for (let i = 0; i < 3; i++) {
      const rttUs = await one.ping()
      t.true(rttUs > 0 && rttUs < 10e6)
      t.is(one.rttUs, rttUs)
    }
  }
})

test('a PING stands behind what was handed to the system, and in front of the rest of the turn', async (t) => {
  const server = await startServer(t)
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  peer.send(Buffer.from('flushed'))
  peer.flush()
  peer.send(Buffer.from('at the end of the turn'))
  const asked = peer.ping()
  const frames = await until(() => {
    const found = framesOf(raw.bytes.subarray(raw.greetingBytes))
    return found.length === 3 && found
  })
  t.deepEqual(
    frames.map(({ control }) => control),
    [false, true, false]
  )
  raw.write(pong(frames[1]))
  t.is(await asked, peer.rttUs)
})

test('with manual the answer comes by poll', async (t) => {
  const { server, client, peer } = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  const seen = []
  client.ping().then((rttUs) => seen.push(rttUs))
  peer.ping().then((rttUs) => seen.push(rttUs))
  await pollUntil(server, () => seen.length === 2)
  t.true(seen.every((rttUs) => rttUs > 0))
})

test('calls that wait together share one PING', async (t) => {
  const server = await startServer(t)
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  const asked = [peer.ping(), peer.ping(1), peer.ping()]
  await until(() => pingsOf(raw).length === 1)
  const [ping] = pingsOf(raw)
  raw.write(controlFrame(OPCODE.pong, Buffer.alloc(8)))
  raw.write(pong(ping))
  const answers = await Promise.all(asked)
  t.deepEqual(answers, [peer.rttUs, peer.rttUs, peer.rttUs])
  t.is(pingsOf(raw).length, 1)
  const again = peer.ping()
  await until(() => pingsOf(raw).length === 2)
  t.notDeepEqual(pingsOf(raw)[1].payload, ping.payload)
  raw.write(pong(pingsOf(raw)[1]))
  t.is(await again, peer.rttUs)
})

test('an answer that does not come in time; the next question gets its own', async (t) => {
  const server = await startServer(t)
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  await t.throwsAsync(peer.ping(1), { code: 'ZERIO_PING_TIMEOUT', message: /within 1 ms/ })
  t.true(peer.isOpen)
  const second = peer.ping()
  await until(() => pingsOf(raw).length === 2)
  const [late, inTime] = pingsOf(raw)
  raw.write(pong(late))
  const third = peer.ping()
  await new Promise(setImmediate)
  t.is(peer.rttUs, Number.NaN)
  raw.write(pong(inTime))
  t.is(await second, await third)
  t.is(pingsOf(raw).length, 2)
})

test('after a question without an answer heartbeats are measured again', async (t) => {
  const server = await startServer(t, { heartbeatMs: 20 })
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  await t.throwsAsync(peer.ping(1), { code: 'ZERIO_PING_TIMEOUT' })
  const unanswered = pingsOf(raw).length
  raw.socket.on('data', () => {
    for (const ping of pingsOf(raw).slice(unanswered)) raw.write(pong(ping))
  })
  await until(() => peer.rttUs > 0)
  t.true(peer.isOpen)
})

/** Writes frames of the other side, and resolves when the server has read them. */
async function writeAndWait(server, raw, ...frames) {
  let read = false
  server.onMessage = (_, buffer, offset, length) => {
    if (buffer.toString('utf8', offset, offset + length) === 'read') read = true
  }
  raw.write(Buffer.concat([...frames, dataFrame('read')]))
  await until(() => read)
}

test('only the answer to the question counts, and only once', async (t) => {
  const server = await startServer(t)
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  const forged = [Buffer.alloc(8), Buffer.alloc(8, 255)].map((payload) => pong({ payload }))
  await writeAndWait(server, raw, ...forged)
  let answered = false
  const asked = peer.ping().then(() => {
    answered = true
  })
  await until(() => pingsOf(raw).length === 1)
  await writeAndWait(server, raw, ...forged)
  t.is(peer.rttUs, Number.NaN)
  t.false(answered)
  const [ping] = pingsOf(raw)
  await writeAndWait(server, raw, pong(ping))
  await asked
  const { rttUs } = peer
  t.true(rttUs > 0)
  await writeAndWait(server, raw, pong(ping), ...forged)
  t.is(peer.rttUs, rttUs)
})

test('the PING of a heartbeat does not take the place of a question', async (t) => {
  const server = await startServer(t, { heartbeatMs: 20 })
  const raw = await connectNative(t, server)
  // A sign of life for each PING.
  raw.socket.on('data', () => raw.write(dataFrame('alive')))
  const peer = await until(() => server.peer('raw'))
  const place = (peer.counters.bytesSent - raw.greetingBytes) / 12
  let answered = false
  const asked = peer.ping().then((rttUs) => {
    answered = true
    return rttUs
  })
  await until(() => pingsOf(raw).length >= place + 2)
  const pings = pingsOf(raw)
  await writeAndWait(server, raw, ...pings.filter((_, at) => at !== place).map(pong))
  t.is(peer.rttUs, Number.NaN)
  t.false(answered)
  raw.write(pong(pings[place]))
  t.is(await asked, peer.rttUs)
})

test('the end of the connection ends the wait', async (t) => {
  const server = await startServer(t)
  const lost = {
    code: 'ZERIO_NOT_CONNECTED',
    message: /: the connection was closed\. Ask again when there is one\.$/
  }
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  const asked = t.throwsAsync(peer.ping(), lost)
  peer.close()
  await t.throwsAsync(peer.ping(), { code: 'ZERIO_NOT_CONNECTED', message: /is closing or has ended/ })
  await asked
  await raw.ends()
  await until(() => peer.state === 'closed')
  await t.throwsAsync(peer.ping(), { code: 'ZERIO_NOT_CONNECTED' })

  const rawServer = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: rawServer.port })
  t.teardown(() => client.stop())
  await t.throwsAsync(client.ping(), { code: 'ZERIO_NOT_CONNECTED', message: /there is none/ })
  const starting = client.start('client')
  const itsEnd = await rawServer.next()
  itsEnd.write(welcome())
  await starting
  const waiting = t.throwsAsync(client.ping(), { code: 'ZERIO_NOT_CONNECTED' })
  await until(() => pingsOf(itsEnd).length === 1)
  itsEnd.socket.resetAndDestroy()
  await waiting
  await t.throwsAsync(client.ping(), { code: 'ZERIO_NOT_CONNECTED' })
})

test('a program that stops ends the wait, too', async (t) => {
  const server = await startServer(t)
  const client = await startClient(t, server)
  const peer = await until(() => server.peer('client'))
  const waiting = [client.ping(), peer.ping()].map((asked) => asked.catch(({ code }) => code))
  await Promise.all([client.stop(), server.stop()])
  for (const end of await Promise.all(waiting)) t.true(end === 'ZERIO_NOT_CONNECTED' || end > 0)
})

test('the classic protocol has no PING', async (t) => {
  const server = await startServer(t)
  const classic = await connectRaw(t, server.listeningPort)
  classic.write(dataFrame('classic'))
  const peer = await until(() => server.peer('classic'))
  await t.throwsAsync(peer.ping(), { code: 'ZERIO_PING_UNSUPPORTED' })
  const client = makeClient(t, server, { protocol: 'classic' })
  await client.start('other')
  await t.throwsAsync(client.ping(), { code: 'ZERIO_PING_UNSUPPORTED' })
  t.is(client.rttUs, Number.NaN)
  t.true(client.isConnected)
})

test('a time limit that is none rejects', async (t) => {
  const { client, peer } = await startPair(t)
  for (const timeoutMs of [0, -1, 1.5, Number.NaN, '5', null, 3_600_001]) {
    await t.throwsAsync(client.ping(timeoutMs), { code: 'ZERIO_BAD_ARGUMENT', message: /timeoutMs must be/ })
    await t.throwsAsync(peer.ping(timeoutMs), { code: 'ZERIO_BAD_ARGUMENT' })
  }
})

test('another side that reads nothing gets no more PINGs than there is room for', async (t) => {
  const server = await startServer(t, { lingerMs: 10 })
  const raw = await connectNative(t, server)
  raw.socket.pause()
  const peer = await until(() => server.peer('raw'))
  await fillRing(peer)
  for (let i = 0; i < 100; i++) await t.throwsAsync(peer.ping(1), { code: 'ZERIO_PING_TIMEOUT' })
  t.true(peer.isOpen)
  peer.terminate()
})
