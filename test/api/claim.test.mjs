// claim, commit, abort: messages written in place.

import { once } from 'node:events'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioError } from 'zerio'
import { collect, pattern, startPair } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const nextTurn = () => new Promise(setImmediate)
const code = (name) => ({ instanceOf: ZerioError, code: name })

function assertTexts(t, got, texts) {
  t.deepEqual(
    got.map(({ bytes }) => bytes.toString()),
    texts
  )
}

function claimText(sender, text) {
  const at = sender.claim(Buffer.byteLength(text))
  sender.buffer.write(text, at)
}

for (const side of ['client', 'peer']) {
  test(`fields of all widths, written through the view of the ${side}, arrive`, async (t) => {
    const pair = await startPair(t)
    const sender = pair[side]
    const got = collect(side === 'client' ? pair.server : pair.client)
    const at = sender.claim(32, 5)
    t.true(at > 0)
    t.is(sender.view.buffer, sender.buffer.buffer)
    sender.view.setFloat64(at, 1234.5, true)
    sender.view.setBigInt64(at + 8, -5n, true)
    sender.view.setInt32(at + 16, -7, false)
    sender.view.setUint16(at + 20, 65535, true)
    sender.view.setUint8(at + 22, 200)
    sender.buffer.fill(0, at + 23, at + 32)
    t.is(sender.commit(), SendStatus.Sent)
    await until(() => got.length === 1)
    const [{ bytes, channel }] = got
    t.is(channel, 5)
    t.is(bytes.length, 32)
    t.is(bytes.readDoubleLE(0), 1234.5)
    t.is(bytes.readBigInt64LE(8), -5n)
    t.is(bytes.readInt32BE(16), -7)
    t.is(bytes.readUint16LE(20), 65535)
    t.is(bytes.readUint8(22), 200)
  })
}

test('a claim may be empty or maxMessageLength long, and one byte more is TooLarge', async (t) => {
  const { server, client } = await startPair(t, { maxMessageLength: 100 })
  const got = collect(server)
  t.true(client.claim(0) > 0)
  t.is(client.commit(), SendStatus.Sent)
  t.is(client.claim(101), SendStatus.TooLarge)
  t.throws(() => client.commit(), code('ZERIO_NO_CLAIM'))
  const at = client.claim(100)
  pattern(100).copy(client.buffer, at)
  t.is(client.commit(), SendStatus.Sent)
  await until(() => got.length === 2)
  t.is(got[0].bytes.length, 0)
  t.deepEqual(got[1].bytes, pattern(100))
})

test('claim and send throw while a claim is open, and do not change the claim', async (t) => {
  const { server, client } = await startPair(t)
  const got = collect(server)
  claimText(client, 'claimed')
  t.throws(() => client.claim(4), { ...code('ZERIO_CLAIM_OPEN'), message: /commit or abort/ })
  t.throws(() => client.claim(0), code('ZERIO_CLAIM_OPEN'))
  t.throws(() => client.claim(4, 3), code('ZERIO_CLAIM_OPEN'))
  t.throws(() => client.send(Buffer.from('sent')), code('ZERIO_CLAIM_OPEN'))
  t.throws(() => client.send(Buffer.alloc(0)), code('ZERIO_CLAIM_OPEN'))
  t.throws(() => client.send(Buffer.from('sent'), 1, 2), code('ZERIO_CLAIM_OPEN'))
  t.is(client.commit(), SendStatus.Sent)
  t.is(client.send(Buffer.from('sent')), SendStatus.Sent)
  await until(() => got.length === 2)
  assertTexts(t, got, ['claimed', 'sent'])
})

test('claims of two connections do not disturb each other', async (t) => {
  const { server, client, peer } = await startPair(t)
  const atServer = collect(server)
  const atClient = collect(client)
  claimText(client, 'to server')
  claimText(peer, 'to client')
  t.throws(() => server.send('client', Buffer.from('x')), code('ZERIO_CLAIM_OPEN'))
  t.throws(() => server.broadcast(Buffer.from('x')), code('ZERIO_CLAIM_OPEN'))
  client.commit()
  peer.commit()
  await until(() => atServer.length === 1 && atClient.length === 1)
  assertTexts(t, atServer, ['to server'])
  assertTexts(t, atClient, ['to client'])
})

test('commit and abort without a claim throw', async (t) => {
  const idle = new ZerioClient(1)
  t.is(idle.claim(10), SendStatus.NotConnected)
  t.throws(() => idle.commit(), { ...code('ZERIO_NO_CLAIM'), message: /call claim first/ })
  t.throws(() => idle.abort(), code('ZERIO_NO_CLAIM'))
  const { client, peer } = await startPair(t)
  for (const sender of [client, peer]) {
    t.throws(() => sender.commit(), code('ZERIO_NO_CLAIM'))
    t.throws(() => sender.abort(), code('ZERIO_NO_CLAIM'))
    sender.claim(1)
    sender.commit()
    t.throws(() => sender.commit(), code('ZERIO_NO_CLAIM'))
    t.throws(() => sender.abort(), code('ZERIO_NO_CLAIM'))
    sender.claim(1)
    sender.abort()
    t.throws(() => sender.commit(), code('ZERIO_NO_CLAIM'))
    t.throws(() => sender.abort(), code('ZERIO_NO_CLAIM'))
  }
})

test('claim throws for a bad length, and leaves no claim open', async (t) => {
  const { client } = await startPair(t)
  for (const length of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', null, undefined, 2 ** 32, {}]) {
    t.throws(() => client.claim(length), { ...code('ZERIO_BAD_ARGUMENT'), message: /length/ })
    t.throws(() => client.commit(), code('ZERIO_NO_CLAIM'))
  }
})

test('abort leaves no trace of a claim, and a longer claim can follow', async (t) => {
  const { server, client } = await startPair(t)
  const got = collect(server)
  client.send(Buffer.from('first'))
  claimText(client, 'this must never arrive')
  client.abort()
  claimText(client, 'a claim that is much longer than the one before it')
  t.is(client.commit(), SendStatus.Sent)
  claimText(client, 'nor this')
  client.abort()
  client.send(Buffer.from('last'))
  await until(() => got.length === 3)
  assertTexts(t, got, ['first', 'a claim that is much longer than the one before it', 'last'])
  t.is(client.counters.messagesSent, 3)
})

test('claims aborted at the end of the ring leave the messages around them whole', async (t) => {
  const { server, client } = await startPair(t, { maxMessageLength: 1000, sendRingBytes: 2048 })
  const got = []
  server.onMessage = (_peer, buffer, offset, length) => {
    got.push(buffer.readUInt32LE(offset))
    const expected = pattern(length, got.length)
    expected.writeUInt32LE(got.length, 0)
    t.deepEqual(Buffer.from(buffer.subarray(offset, offset + length)), expected)
  }
  for (let i = 1; i <= 600; i++) {
    // What was aborted may have moved to the ring's start, where the message that follows would have had room at the end.
    const aborted = client.claim(700 + ((i * 37) % 300))
    if (aborted >= 0) client.abort()
    if (i % 3 === 0) await nextTurn()
    const bytes = pattern(4 + ((i * 53) % 500), i)
    bytes.writeUInt32LE(i, 0)
    while (client.send(bytes) === SendStatus.BackPressured) await once(client, 'drain')
  }
  await until(() => got.length === 600)
  t.deepEqual(
    got,
    got.map((_, index) => index + 1)
  )
})

for (const end of ['client leaves', 'server closes']) {
  test(`commit returns Closed once after the connection has ended: ${end}`, async (t) => {
    const { server, client, peer } = await startPair(t)
    const sender = end === 'client leaves' ? peer : client
    claimText(sender, 'too late')
    if (end === 'client leaves') {
      client.stop()
      await once(server, 'clientDisconnected')
    } else {
      peer.close()
      await once(client, 'disconnected')
    }
    t.is(sender.commit(), SendStatus.Closed)
    t.throws(() => sender.commit(), code('ZERIO_NO_CLAIM'))
    t.is(sender.claim(10), SendStatus.Closed)
    t.throws(() => sender.abort(), code('ZERIO_NO_CLAIM'))
  })
}

test('a claim can be aborted after the connection has ended', async (t) => {
  const { client, peer } = await startPair(t)
  claimText(client, 'too late')
  peer.close()
  await once(client, 'disconnected')
  t.notThrows(() => client.abort())
  t.throws(() => client.commit(), code('ZERIO_NO_CLAIM'))
})

test('close with an open claim sends what was committed before, and commit returns Closed at once', async (t) => {
  const { client, peer } = await startPair(t)
  const got = collect(client)
  const gone = once(client, 'disconnected')
  peer.send(Buffer.from('before'))
  claimText(peer, 'during')
  peer.close()
  t.is(peer.commit(), SendStatus.Closed)
  await gone
  assertTexts(t, got, ['before'])
})

test('a claim that stays open keeps no other part of the program waiting', async (t) => {
  const { server, client } = await startPair(t)
  const got = collect(server)
  claimText(client, 'late')
  await new Promise((resolve) => setTimeout(resolve, 5))
  await nextTurn()
  client.commit()
  await until(() => got.length === 1)
  assertTexts(t, got, ['late'])
})

test('a claim that stays open over turns and flushes is sent whole', async (t) => {
  const { server, client } = await startPair(t)
  const got = collect(server)
  for (const text of ['one', 'two', 'three']) {
    client.send(Buffer.from(`before ${text}`))
    claimText(client, `claim ${text}`)
    client.flush()
    await nextTurn()
    await until(() => got.at(-1)?.bytes.toString() === `before ${text}`)
    client.flush()
    t.is(client.commit(), SendStatus.Sent)
    await until(() => got.at(-1)?.bytes.toString() === `claim ${text}`)
  }
  assertTexts(t, got, ['before one', 'claim one', 'before two', 'claim two', 'before three', 'claim three'])
})

test('a claim made in a handler can be committed in a later turn', async (t) => {
  const { server, client, peer } = await startPair(t)
  const got = collect(client)
  server.onMessage = () => claimText(peer, 'later')
  client.send(Buffer.from('x'))
  await until(() => {
    try {
      peer.claim(0)
      peer.abort()
      return false
    } catch (error) {
      return error.code === 'ZERIO_CLAIM_OPEN'
    }
  })
  await nextTurn()
  t.is(got.length, 0)
  t.is(peer.commit(), SendStatus.Sent)
  await until(() => got.length === 1)
  assertTexts(t, got, ['later'])
})
