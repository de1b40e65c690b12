// Runs of messages: claimRun, which writes several at once, and onRun, which reads them as they lie.
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { Frame, SendStatus, ZerioClient, ZerioError } from 'zerio'
import { BrokenPath } from '../helpers/broken_path.mjs'
import {
  collect,
  ownEngine,
  pattern,
  randomFrom,
  sendWhenRoom,
  startClient,
  startPair,
  startServer
} from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'

const code = (name) => ({ instanceOf: ZerioError, code: name })
const text = (bytes) => bytes.toString()

/** The messages of a run, copied. */
function framesOf(buffer, offset, end) {
  const frames = []
  for (let at = offset; at < end; ) {
    const header = buffer.view.getUint32(at, true)
    const start = at + Frame.HeaderBytes
    at = start + (header & Frame.LengthMask)
    frames.push({ bytes: Buffer.from(buffer.subarray(start, at)), channel: header >>> Frame.ChannelShift })
  }
  return frames
}

/** Claims a run of texts of one length, and writes them. */
function claimTexts(sender, texts, channel) {
  const { length } = texts[0]
  let at = sender.claimRun(texts.length, length, channel)
  if (at < 0) return at
  for (const one of texts) {
    sender.buffer.write(one, at)
    at += length + Frame.HeaderBytes
  }
  return 0
}

for (const side of ['client', 'peer']) {
  test(`a run of the ${side} arrives as its messages, between those that were sent one by one`, async (t) => {
    const pair = await startPair(t)
    const sender = pair[side]
    const got = collect(side === 'client' ? pair.server : pair.client)
    t.is(sender.send(Buffer.from('first')), SendStatus.Sent)
    t.is(claimTexts(sender, ['one', 'two', 'six'], 7), 0)
    t.is(sender.commit(), SendStatus.Sent)
    t.is(sender.send(Buffer.from('last')), SendStatus.Sent)
    await until(() => got.length === 5)
    t.deepEqual(
      got.map(({ bytes, channel }) => `${bytes} ${channel}`),
      ['first 0', 'one 7', 'two 7', 'six 7', 'last 0']
    )
    t.is(sender.counters.messagesSent, 5)
    t.is(sender.pendingBytes, 0)
  })
}

test('a run may be of empty messages, and as long as the ring', async (t) => {
  const { server, client } = await startPair(t, { sendRingBytes: 65_536, maxMessageLength: 1000 })
  const got = collect(server)
  t.true(client.claimRun(3, 0) > 0)
  t.is(client.commit(), SendStatus.Sent)
  await until(() => got.length === 3)
  const count = 65_536 / 512
  let at = client.claimRun(count, 508)
  t.true(at > 0)
  for (let i = 0; i < count; i++, at += 512) pattern(508, i).copy(client.buffer, at)
  t.is(client.commit(), SendStatus.Sent)
  await until(() => got.length === 3 + count)
  for (let i = 0; i < count; i++) t.true(got[3 + i].bytes.equals(pattern(508, i)))
})

test('a run that is refused or given back leaves no trace', async (t) => {
  const { server, client } = await startPair(t, { sendRingBytes: 65_536, maxMessageLength: 1000 })
  const got = collect(server)
  t.is(client.claimRun(1, 1001), SendStatus.TooLarge)
  t.is(client.claimRun(129, 508), SendStatus.TooLarge)
  t.is(client.claimRun(2 ** 31, 508), SendStatus.TooLarge)
  t.throws(() => client.commit(), code('ZERIO_NO_CLAIM'))
  t.is(claimTexts(client, ['lost', 'gone']), 0)
  client.abort()
  t.throws(() => client.abort(), code('ZERIO_NO_CLAIM'))
  client.send(Buffer.from('end'))
  await until(() => got.length === 1)
  t.is(text(got[0].bytes), 'end')
  t.is(client.counters.messagesSent, 1)
})

test('wrong arguments throw, and leave no claim open', async (t) => {
  const { client } = await startPair(t)
  for (const count of [0, -1, 1.5, Number.NaN, '3', 3n, undefined, null])
    t.throws(() => client.claimRun(count, 8), { ...code('ZERIO_BAD_ARGUMENT'), message: /1 message or more/ })
  for (const length of [-1, 1.5, '3', 3n, undefined])
    t.throws(() => client.claimRun(2, length), { ...code('ZERIO_BAD_ARGUMENT'), message: /A length must be/ })
  for (const channel of [-1, 128, 1.5, '1'])
    t.throws(() => client.claimRun(2, 8, channel), code('ZERIO_BAD_ARGUMENT'))
  t.throws(() => client.abort(), code('ZERIO_NO_CLAIM'))
})

test('claims and sends throw while a run is open, and do not change it', async (t) => {
  const { server, client } = await startPair(t)
  const got = collect(server)
  t.is(claimTexts(client, ['one', 'two']), 0)
  t.throws(() => client.claim(1), code('ZERIO_CLAIM_OPEN'))
  t.throws(() => client.claimRun(1, 1), code('ZERIO_CLAIM_OPEN'))
  t.throws(() => client.send(Buffer.from('x')), code('ZERIO_CLAIM_OPEN'))
  client.flush()
  // The turn's own flush passes it by.
  await sleep(5)
  t.is(got.length, 0)
  t.is(client.commit(), SendStatus.Sent)
  await until(() => got.length === 2)
  t.deepEqual(
    got.map(({ bytes }) => text(bytes)),
    ['one', 'two']
  )
})

test('without a connection, and after its end, a run is refused', async (t) => {
  const server = await startServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
  t.is(client.claimRun(2, 8), SendStatus.NotConnected)
  await client.start('client')
  const peer = await until(() => server.peer('client'))
  t.true(peer.claimRun(2, 8) > 0)
  peer.close()
  t.is(peer.commit(), SendStatus.Closed)
  t.throws(() => peer.commit(), code('ZERIO_NO_CLAIM'))
  t.is(peer.claimRun(2, 8), SendStatus.Closed)
  await client.stop()
})

test('a classic peer has no channels for a run either', async (t) => {
  const { peer, client } = await startPair(t, {}, { client: { protocol: 'classic' } })
  const got = collect(client)
  t.is(peer.claimRun(2, 3, 1), SendStatus.ChannelUnsupported)
  t.is(claimTexts(peer, ['one', 'two']), 0)
  peer.commit()
  await until(() => got.length === 2)
})

test('a run that finds no room is refused whole, and fits after drain', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const { client, peer } = await startPair(t, options)
  peer.pause()
  let sent = 0
  for (;;) {
    const status = claimTexts(client, Array(1000).fill('12345678'))
    if (status !== 0) {
      t.is(status, SendStatus.BackPressured)
      if (client.counters.backPressured > 3) break
      client.poll()
      continue
    }
    client.commit()
    sent += 1000
    t.true(sent < 10_000_000)
  }
  let drained = false
  client.on('drain', () => {
    drained = true
  })
  peer.resume()
  await pollUntil(client, () => drained)
  t.is(claimTexts(client, Array(1000).fill('12345678')), 0)
  client.commit()
  await pollUntil(client, () => peer.counters.messagesReceived === sent + 1000)
})

test('onRun gets each message once, in order and whole, however it came', async (t) => {
  const random = randomFrom(11)
  const options = { maxMessageLength: 300_000 }
  const { server, client, peer } = await startPair(t, { ...options, receiveArenaBytes: 65_536 })
  const got = []
  let calls = 0
  server.onMessage = () => t.fail('a message came to onMessage')
  server.onRun = (of, buffer, offset, end, count) => {
    t.is(of, peer)
    t.is(of.messageNumber, got.length + 1)
    const frames = framesOf(buffer, offset, end)
    t.is(frames.length, count)
    got.push(...frames)
    calls++
  }
  const sent = []
  for (let i = 0; i < 5000; i++) {
    const length = random(20) === 0 ? random(random(4) === 0 ? 250_000 : 5000) : random(40)
    const bytes = pattern(length, i)
    const channel = random(3)
    t.is(await sendWhenRoom(client, bytes, channel), SendStatus.Sent)
    sent.push({ bytes, channel })
    if (random(50) === 0) await sleep(0)
  }
  await until(() => got.length === sent.length)
  t.true(got.every(({ bytes, channel }, i) => channel === sent[i].channel && bytes.equals(sent[i].bytes)))
  t.true(calls < sent.length / 2, `${calls} calls`)
  t.true(server.engine.counters.messagesAssembled > 50)
})

test('a header that comes byte by byte stands in front of its message', async (t) => {
  const server = await startServer(t, { allowClassic: true })
  const got = []
  server.onRun = (_peer, buffer, offset, end, count) =>
    got.push({ count, frames: framesOf(buffer, offset, end) })
  const socket = connect(server.listeningPort, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.setNoDelay(true)
  const frame = (bytes) => {
    const header = Buffer.alloc(Frame.HeaderBytes)
    header.writeUInt32LE(bytes.length)
    return Buffer.concat([header, bytes])
  }
  const bytes = Buffer.concat([
    frame(Buffer.from('raw')),
    frame(Buffer.from('one')),
    frame(Buffer.from('')),
    frame(Buffer.from('two'))
  ])
  for (const byte of bytes) {
    socket.write(Buffer.from([byte]))
    await sleep(2)
  }
  await until(() => got.length === 3)
  t.deepEqual(
    got.map(({ count, frames }) => `${count} ${frames.map(({ bytes }) => text(bytes))}`),
    ['1 one', '1 ', '1 two']
  )
})

test('a client has onRun, too, and null gives the messages back to onMessage', async (t) => {
  const { client, peer } = await startPair(t)
  const seen = []
  client.onMessage = (buffer, offset, length) =>
    seen.push(`one ${buffer.toString('utf8', offset, offset + length)}`)
  client.onRun = (buffer, offset, end, count) => {
    for (const { bytes } of framesOf(buffer, offset, end)) seen.push(`run of ${count} ${bytes}`)
  }
  claimTexts(peer, ['a', 'b'])
  peer.commit()
  await until(() => seen.length === 2)
  client.onRun = null
  peer.send(Buffer.from('c'))
  await until(() => seen.length === 3)
  t.deepEqual(seen, ['run of 2 a', 'run of 2 b', 'one c'])
})

test('a peer with a handler of its own has both of its own', async (t) => {
  const server = await startServer(t)
  const seen = []
  server.onRun = (peer) => seen.push(`server ${peer.id}`)
  const one = await startClient(t, server, 'one')
  const peer = await until(() => server.peer('one'))
  const send = async () => {
    const before = seen.length
    one.send(Buffer.from('x'))
    await until(() => seen.length > before)
    return seen.at(-1)
  }
  t.is(peer.onRun, null)
  t.is(await send(), 'server one')
  peer.onMessage = () => seen.push('own message')
  t.is(await send(), 'own message')
  peer.onRun = () => seen.push('own run')
  t.is(typeof peer.onRun, 'function')
  t.is(await send(), 'own run')
  peer.onMessage = null
  t.is(await send(), 'own run')
  peer.onRun = undefined
  t.is(await send(), 'server one')
  const refused = { ...code('ZERIO_BAD_ARGUMENT'), message: /a function or null, not 5/ }
  t.throws(() => {
    peer.onRun = 5
  }, refused)
})

test('listeners of message get copies beside onRun', async (t) => {
  const { server, client } = await startPair(t)
  let count = 0
  server.onRun = (_peer, _buffer, _offset, _end, messages) => {
    count += messages
  }
  const copies = collect(server)
  for (let i = 0; i < 10; i++) client.send(Buffer.from(`message ${i}`), i)
  await until(() => copies.length === 10)
  t.is(count, 10)
  t.deepEqual(
    copies.map(({ bytes, channel }) => `${bytes} ${channel}`),
    Array.from({ length: 10 }, (_, i) => `message ${i} ${i}`)
  )
})

test('a pause in onRun holds back what comes behind the run', async (t) => {
  const { server, client, peer } = await startPair(t)
  const seen = []
  server.onRun = (of, buffer, offset, end) => {
    for (const { bytes } of framesOf(buffer, offset, end)) seen.push(text(bytes))
    of.pause()
  }
  claimTexts(client, ['a', 'b'])
  client.commit()
  await until(() => seen.length === 2)
  claimTexts(client, ['c', 'd'])
  client.commit()
  await sleep(20)
  t.deepEqual(seen, ['a', 'b'])
  while (seen.length < 4) {
    peer.resume()
    await sleep(1)
  }
  t.deepEqual(seen, ['a', 'b', 'c', 'd'])
})

test('a handler of a message that throws leaves the rest of its run to an onRun that is set then', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const { server, client, peer } = await startPair(t, options)
  const seen = []
  server.onMessage = (_peer, buffer, offset) => {
    seen.push(buffer.toString('utf8', offset, offset + 1))
    if (seen.length === 2) throw new Error('enough')
  }
  claimTexts(client, ['a', 'b', 'c', 'd', 'e'])
  client.commit()
  client.flush()
  await t.throwsAsync(() => pollUntil(server, () => seen.length > 2), { message: 'enough' })
  server.onRun = (of, buffer, offset, end, count) => {
    t.is(count, 3)
    t.is(of.messageNumber, 3)
    for (const { bytes } of framesOf(buffer, offset, end)) seen.push(text(bytes))
  }
  await pollUntil(server, () => seen.length === 5)
  t.deepEqual(seen, ['a', 'b', 'c', 'd', 'e'])
  t.is(peer.counters.messagesReceived, 5)
})

test('an onRun that throws has had its run, and gets the next one', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const { server, client } = await startPair(t, options)
  const seen = []
  server.onRun = (_peer, _buffer, _offset, _end, count) => {
    seen.push(count)
    if (seen.length === 1) throw new Error('enough')
  }
  claimTexts(client, ['a', 'b', 'c'])
  client.commit()
  client.flush()
  await t.throwsAsync(() => pollUntil(server, () => seen.length > 1), { message: 'enough' })
  client.send(Buffer.from('d'))
  client.flush()
  await pollUntil(server, () => seen.length === 2)
  t.deepEqual(seen, [3, 1])
})

test('in a session an open run is lost with the connection, and what was sent arrives once', async (t) => {
  const server = await startServer(t, { sessions: true })
  const seen = []
  server.onRun = (_peer, buffer, offset, end) => {
    for (const { bytes } of framesOf(buffer, offset, end)) seen.push(text(bytes))
  }
  const path = await BrokenPath.start(t, server.listeningPort)
  const client = new ZerioClient(
    { host: '127.0.0.1', port: path.port },
    { session: true, reconnect: { delayMs: 10 } }
  )
  t.teardown(() => client.stop())
  await client.start('client')
  claimTexts(client, ['a', 'b'])
  client.commit()
  await until(() => seen.length === 2)
  t.is(claimTexts(client, ['x', 'y']), 0)
  const resumed = once(client, 'resumed')
  path.break()
  await resumed
  t.is(client.commit(), SendStatus.Closed)
  t.is(claimTexts(client, ['c', 'd']), 0)
  client.commit()
  await until(() => seen.length === 4)
  t.deepEqual(seen, ['a', 'b', 'c', 'd'])
})
