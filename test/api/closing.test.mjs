// How connections end (by CLOSE, by an end of stream alone, by a reset, or not at all), and what is still delivered.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { getSystemErrorName } from 'node:util'
import test from 'ava'
import { SendStatus, ZerioClient } from 'zerio'
import { startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
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
  startBystander,
  startRawServer,
  watch,
  welcome
} from '../helpers/wire_raw.mjs'

const COUNT = 20_000

/** Events and messages of one server in the order in which they came. */
function record(server) {
  const events = []
  server.on('clientConnected', () => events.push('connected'))
  server.on('clientDisconnected', (_id, reason) => events.push(reason.code))
  server.on('message', (_id, message) => events.push(message.toString()))
  return events
}

const manyMessages = () => Array.from({ length: COUNT }, (_, i) => `message ${i}`)

for (const [name, end, code] of [
  ['an end of stream', undefined, 'ZERIO_PEER_LEFT'],
  ['CLOSE', farewell(OPCODE.close, CODE.normal), 'ZERIO_NORMAL']
]) {
  test(`everything sent before ${name} arrives before clientDisconnected`, async (t) => {
    const server = await startServer(t)
    const events = record(server)
    const raw = await connectNative(t, server)
    const texts = manyMessages()
    raw.write(Buffer.concat(texts.map((text) => dataFrame(text))))
    if (end === undefined) raw.socket.end()
    else raw.write(end)
    await until(() => events.includes(code))
    t.deepEqual(events, ['connected', ...texts, code])
    await raw.ends()
  })
}

test('client.stop: everything accepted arrives, then the reason', async (t) => {
  const server = await startServer(t)
  const events = record(server)
  const client = await startClient(t, server)
  const texts = manyMessages().slice(0, 5000)
  for (const text of texts) t.is(client.send(Buffer.from(text)), SendStatus.Sent)
  await client.stop()
  await until(() => events.includes('ZERIO_NORMAL'))
  t.deepEqual(events, ['connected', ...texts, 'ZERIO_NORMAL'])
})

test('peer.close: everything accepted arrives, then code and reason', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  const texts = manyMessages().slice(0, 5000)
  for (const text of texts) t.is(peer.send(Buffer.from(text)), SendStatus.Sent)
  peer.close(4000, 'enough')
  t.is(peer.send(Buffer.from('x')), SendStatus.Closed)
  const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
  t.deepEqual(
    frames.map((frame) => (frame.control ? 'control' : frame.payload.toString())),
    [...texts, 'control']
  )
  t.deepEqual(frames.at(-1), framesOf(farewell(OPCODE.close, 4000, 'enough'))[0])
  const [{ reason }] = seen.disconnected
  t.like(reason, { code: 'ZERIO_APPLICATION', closeCode: 4000, message: 'enough', local: true })
})

test('a peer that half-closes and reads on receives what was accepted before, and no CLOSE', async (t) => {
  const server = await startServer(t, { lingerMs: 20_000 })
  const seen = watch(server)
  const raw = await connectNative(t, server)
  raw.socket.pause()
  const peer = await until(() => server.peer('raw'))
  // More than the sockets hold, so that much of it is in the ring when the end of the stream comes.
  const message = Buffer.alloc(60_000, 'm')
  let accepted = 0
  for (let full = 0; full < 5; ) {
    if (peer.send(message) === SendStatus.Sent) {
      accepted++
      full = 0
    } else {
      full++
      await new Promise(setImmediate)
    }
  }
  raw.socket.end()
  await until(() => seen.disconnected.length === 1)
  t.is(seen.disconnected[0].reason.code, 'ZERIO_PEER_LEFT')
  t.is(peer.send(message), SendStatus.Closed)
  t.is(server.peer('raw'), undefined)
  raw.socket.resume()
  const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
  t.is(raw.error, undefined)
  t.is(frames.length, accepted)
  t.true(frames.every((frame) => !frame.control && frame.payload.equals(message)))
})

test('a peer that sends a question and its end of stream in one segment receives the answer', async (t) => {
  const server = await startServer(t)
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  for (let i = 0; i < 200; i++) {
    const raw = await connectNative(t, server, `raw ${i}`)
    raw.socket.end(dataFrame(`question ${i}`))
    const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
    t.deepEqual(
      frames.map((frame) => frame.payload.toString()),
      [`question ${i}`]
    )
  }
})

test('a peer that sends HELLO and its end of stream in one segment receives what the handler of clientConnected sends', async (t) => {
  const server = await startServer(t)
  server.on('clientConnected', (id, peer) => peer.send(Buffer.from(`good day, ${id}`)))
  for (let i = 0; i < 200; i++) {
    const raw = await connectRaw(t, server.listeningPort)
    raw.socket.end(hello({ id: `raw ${i}` }))
    const [, greeting] = framesOf(await raw.ends())
    t.is(greeting?.payload.toString(), `good day, raw ${i}`)
  }
})

test('a reset is reported as ECONNRESET with its number, and other peers go on', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  const bystander = await startBystander(t, server)
  const raw = await connectNative(t, server)
  const classic = await connectRaw(t, server.listeningPort)
  classic.write(dataFrame('classic'))
  await classic.receives(11)
  raw.socket.resetAndDestroy()
  classic.socket.resetAndDestroy()
  await until(() => seen.disconnected.length === 2)
  for (const { reason } of seen.disconnected) {
    t.like(reason, { code: 'ECONNRESET', closeCode: 2001, local: false })
    t.is(getSystemErrorName(-reason.errno), 'ECONNRESET')
    t.regex(reason.message, /ECONNRESET/)
  }
  t.is(server.counters.peers, 1)
  t.is(server.counters.protocolErrors, 0)
  await bystander.goesOn()
})

// The system reports a reset once, and often a send gets that report.
test('a reset in the middle of answers is reported as ECONNRESET, too', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  const questions = Buffer.concat(Array.from({ length: 20 }, () => dataFrame(Buffer.alloc(1000))))
  for (let i = 0; i < 40; i++) {
    const raw = await connectNative(t, server, `raw ${i}`)
    raw.socket.once('data', () => raw.socket.resetAndDestroy())
    raw.write(questions)
    raw.write(questions)
    await until(() => seen.disconnected.length === i + 1)
  }
  t.deepEqual([...new Set(seen.disconnected.map(({ reason }) => reason.code))], ['ECONNRESET'])
})

test('a client reports a reset by the server', async (t) => {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port })
  const starting = client.start('client')
  const connection = await raw.next()
  connection.write(welcome())
  await starting
  const reasons = []
  client.on('disconnected', (reason) => reasons.push(reason))
  connection.socket.resetAndDestroy()
  await until(() => reasons.length === 1)
  t.is(reasons[0].code, 'ECONNRESET')
  t.false(client.isConnected)
  t.is(client.send(Buffer.from('x')), SendStatus.Closed)
})

test('client.start rejects when a reset or an end of stream comes instead of WELCOME', async (t) => {
  for (const end of ['resetAndDestroy', 'end']) {
    const raw = await startRawServer(t)
    const client = new ZerioClient({ host: '127.0.0.1', port: raw.port })
    const starting = client.start('client')
    const connection = await raw.next()
    await connection.receives(1)
    connection.socket[end]()
    await t.throwsAsync(starting, { code: 'ZERIO_HANDSHAKE_FAILED' }, end)
  }
})

const MESSAGE_BYTES = 60_000

/**
 * Fills everything between the server and a peer that does not read. Returns how many messages were accepted. The sockets are full when they stay full:
 * a backend may send later than it is asked to.
 */
async function fill(peer) {
  const message = Buffer.alloc(MESSAGE_BYTES, 'm')
  let accepted = 0
  let refusals = 0
  for (let last = Date.now(); refusals < 5 || Date.now() - last < 250; ) {
    if (peer.send(message) === SendStatus.Sent) {
      accepted++
      refusals = 0
      last = Date.now()
    } else {
      refusals++
    }
    await new Promise(setImmediate)
  }
  return accepted
}

test('the server cuts off a peer that never reads when lingerMs is over', async (t) => {
  const server = await startServer(t, { lingerMs: 100 })
  const seen = watch(server)
  const bystander = await startBystander(t, server)
  const raw = await connectNative(t, server)
  raw.socket.pause()
  const peer = await until(() => server.peer('raw'))
  await fill(peer)
  const started = Date.now()
  peer.close()
  await until(() => seen.disconnected.length === 1)
  t.is(seen.disconnected[0].reason.local, true)
  await bystander.goesOn()
  const other = await connectNative(t, server, 'other')
  other.socket.pause()
  const accepted = await fill(await until(() => server.peer('other')))
  await server.stop()
  t.true(Date.now() - started < 10_000)
  // What was not sent is gone. (Node.js reports a reset as an end of stream when bytes were left to read, so this looks at bytes.)
  other.socket.resume()
  await other.ends()
  t.true(other.bytes.length - other.greetingBytes < accepted * (4 + MESSAGE_BYTES))
})

for (const closedBefore of [false, true]) {
  test(`terminate cuts off at once${closedBefore ? ', also after close' : ''}`, async (t) => {
    const server = await startServer(t, { lingerMs: 600_000 })
    const seen = watch(server)
    const bystander = await startBystander(t, server)
    const raw = await connectNative(t, server)
    raw.socket.pause()
    const peer = await until(() => server.peer('raw'))
    t.is(peer.pendingBytes, 0)
    await fill(peer)
    t.true(peer.pendingBytes > 100_000)
    if (closedBefore) {
      peer.close()
      await until(() => seen.disconnected.length === 1)
      t.true(peer.pendingBytes > 100_000, 'what was accepted waits for lingerMs')
    }
    peer.terminate()
    peer.terminate()
    t.is(peer.send(Buffer.from('x')), SendStatus.Closed)
    await until(() => seen.disconnected.length === 1)
    const { code, local } = seen.disconnected[0].reason
    t.deepEqual([code, local], [closedBefore ? 'ZERIO_NORMAL' : 'ZERIO_ABORTED', true])
    await until(() => peer.pendingBytes === 0)
    // The connection that has the slot now is not concerned.
    const next = await startClient(t, server, 'next')
    peer.terminate()
    await bystander.goesOn()
    t.true(next.isConnected)
    // Nothing lingers: a stop need not wait.
    await next.stop()
    await server.stop()
  })
}

test('client.stop waits until what was accepted is sent, although the server has left', async (t) => {
  let socket
  const bytes = []
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (one) => {
    socket = one
    one.once('data', () => one.end(welcome()))
    one.on('error', () => {})
  })
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve))
  t.teardown(() => listener.close())
  // More than the system's buffers on both sides take.
  const options = { lingerMs: 20_000, sendRingBytes: 2 ** 25 }
  const client = new ZerioClient({ host: '127.0.0.1', port: listener.address().port }, options)
  t.teardown(() => client.stop())
  const left = once(client, 'disconnected')
  client.on('connected', () => {
    socket.pause()
    const message = Buffer.alloc(60_000)
    while (client.send(message) === SendStatus.Sent);
  })
  await client.start('client')
  await left
  const waiting = client.pendingBytes
  t.true(waiting > 0)
  let stopped = false
  const stop = client.stop().then(() => {
    stopped = true
  })
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.false(stopped)
  socket.on('data', (data) => bytes.push(data.length))
  socket.resume()
  await stop
  t.is(client.pendingBytes, 0)
  await new Promise((resolve) => (socket.readableEnded ? resolve() : socket.once('end', resolve)))
  t.is(bytes.reduce((sum, count) => sum + count, 0) % 60_004, 0)
})

test('the server cuts off a peer that reads but never ends its stream when lingerMs is over', async (t) => {
  const server = await startServer(t, { lingerMs: 100 })
  const raw = await connectNative(t, server)
  await server.stop()
  t.deepEqual((await raw.ends()).subarray(raw.greetingBytes), farewell(OPCODE.close, CODE.goingAway))
})

test('lingerMs 0 cuts off at once and never hangs', async (t) => {
  const server = await startServer(t, { lingerMs: 0 })
  const raw = await connectNative(t, server)
  raw.socket.pause()
  await fill(await until(() => server.peer('raw')))
  await server.stop()
  t.is(server.listeningPort, 0)
})

test('a peer that floods while it is being closed is read until the end, and does not delay it', async (t) => {
  const server = await startServer(t, { lingerMs: 200 })
  const seen = watch(server)
  let messages = 0
  server.onMessage = () => messages++
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  const flood = Buffer.concat(Array.from({ length: 1000 }, () => dataFrame(Buffer.alloc(500))))
  let flooding = true
  const pump = () => {
    while (flooding && !raw.socket.destroyed && raw.socket.write(flood));
  }
  raw.socket.on('drain', pump)
  pump()
  await until(() => messages > 1000)
  peer.close(4000)
  await until(() => seen.disconnected.length === 1)
  const delivered = messages
  await server.stop()
  flooding = false
  t.is(messages, delivered)
  t.true(raw.bytes.includes(farewell(OPCODE.close, 4000)))
})

test('both sides close at the same moment', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  for (let i = 0; i < 50; i++) {
    const client = await startClient(t, server, `client ${i}`)
    const ends = []
    client.on('disconnected', (reason) => ends.push(reason.code))
    const peer = await until(() => server.peer(`client ${i}`))
    peer.close(4000)
    await client.stop()
    await until(() => seen.disconnected.length === i + 1)
    t.is(ends.length, 1)
  }
  await until(() => server.counters.peers === 0)
})

test('a connection that is ending ignores PINGs', async (t) => {
  const server = await startServer(t, { lingerMs: 20_000 })
  const raw = await connectNative(t, server)
  const stopped = server.stop()
  await raw.ends()
  raw.write(controlFrame(OPCODE.ping, '12345678'))
  raw.write(controlFrame(99))
  raw.socket.end()
  await stopped
  t.deepEqual(raw.bytes.subarray(raw.greetingBytes), farewell(OPCODE.close, CODE.goingAway))
})

for (const how of ['close', 'terminate']) {
  test(`a reason is local when this side has ended the connection, and not when it only wanted to: ${how}`, async (t) => {
    const server = await startServer(t)
    server.onMessage = (peer) => {
      if (how === 'close') peer.close(4002)
      else peer.terminate()
    }
    const gone = once(server, 'clientDisconnected')
    const raw = await connectNative(t, server)
    // In one packet, so that the CLOSE is read before the handler is called.
    raw.write(Buffer.concat([dataFrame('x'), farewell(OPCODE.close, 4001, 'over')]))
    const [, reason] = await gone
    t.is(reason.closeCode, 4001)
    t.is(reason.message, 'over')
    t.false(reason.local)
  })
}
