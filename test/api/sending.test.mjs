// send: what it takes, from which memory, and that exactly these bytes arrive.

import test from 'ava'
import { SendStatus, ZerioError } from 'zerio'
import { collect, pattern, sendWhenRoom, startClient, startPair, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const sizes = []
for (let size = 0; size <= 70; size++) sizes.push(size)
for (const boundary of [4096, 16384, 65536, 131072, 262144]) {
  for (let size = boundary - 9; size <= boundary + 9; size++) sizes.push(size)
}
const big = { maxMessageLength: 300_000 }

function assertMessages(t, got, expected) {
  t.is(got.length, expected.length)
  for (let i = 0; i < expected.length; i++) {
    if (!got[i].bytes.equals(expected[i])) {
      t.fail(`message ${i} of ${expected[i].length} bytes arrived as another one of ${got[i].bytes.length}`)
      return
    }
  }
}

for (const [how, send] of [
  ['whole', (client, bytes) => sendWhenRoom(client, bytes)],
  [
    'part',
    (client, bytes) =>
      sendWhenRoom(client, Buffer.concat([pattern(5, 9), bytes, pattern(3, 8)]), 5, bytes.length)
  ]
]) {
  test(`messages of every size around the edges arrive, and are sent back from the handler's own memory: ${how}`, async (t) => {
    const { server, client } = await startPair(t, big)
    const atServer = []
    const refused = []
    server.onMessage = (peer, buffer, offset, length) => {
      atServer.push({ bytes: Buffer.from(buffer.subarray(offset, offset + length)) })
      const status = peer.send(buffer, offset, length)
      if (status !== SendStatus.Sent) refused.push(status)
    }
    const atClient = collect(client)
    const expected = sizes.map((size, index) => pattern(size, index))
    for (const [index, bytes] of expected.entries()) {
      t.is(await send(client, bytes), SendStatus.Sent)
      // An echo has nowhere to wait when its ring is full.
      if (bytes.length > 1000) await until(() => atClient.length === index + 1)
    }
    await until(() => atClient.length === expected.length)
    t.deepEqual(refused, [])
    assertMessages(t, atServer, expected)
    assertMessages(t, atClient, expected)
  })
}

test('an empty message is a message, alone and between others', async (t) => {
  const { server, client, peer } = await startPair(t)
  const atServer = collect(server)
  const atClient = collect(client)
  t.is(client.send(new Uint8Array(0)), SendStatus.Sent)
  await until(() => atServer.length === 1)
  for (const bytes of ['', 'a', '', '', 'b', '']) client.send(Buffer.from(bytes))
  for (let i = 0; i < 3; i++) t.is(peer.send(Buffer.from('xyz'), 2, 0), SendStatus.Sent)
  await until(() => atServer.length === 7 && atClient.length === 3)
  t.deepEqual(
    atServer.map(({ bytes }) => bytes.toString()),
    ['', '', 'a', '', '', 'b', '']
  )
  t.deepEqual(
    atClient.map(({ bytes }) => bytes.length),
    [0, 0, 0]
  )
})

test('each channel arrives unchanged, with send of all and of a part, in both directions', async (t) => {
  const { server, client } = await startPair(t)
  server.onMessage = (peer, buffer, offset, length, channel) => peer.send(buffer, offset, length, channel)
  const got = collect(client)
  for (let channel = 0; channel <= 127; channel++) {
    t.is(client.send(Buffer.from([channel]), channel), SendStatus.Sent)
    t.is(client.send(Buffer.from([0, channel, 0]), 1, 1, channel), SendStatus.Sent)
  }
  await until(() => got.length === 256)
  got.forEach(({ bytes, channel }, index) => {
    t.is(channel, index >> 1)
    t.deepEqual([...bytes], [index >> 1])
  })
})

test('send throws for a channel that does not exist, and sends nothing', async (t) => {
  const { server, client, peer } = await startPair(t)
  const got = collect(server)
  for (const channel of [-1, 128, 1.5, Number.NaN, '1', null, {}]) {
    for (const call of [
      () => client.send(Buffer.from('x'), channel),
      () => client.send(Buffer.from('x'), 0, 1, channel),
      () => client.claim(1, channel),
      () => peer.send(Buffer.from('x'), channel),
      () => server.send('client', Buffer.from('x'), 0, 1, channel),
      () => server.broadcast(Buffer.from('x'), 0, 1, channel)
    ]) {
      t.throws(call, { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT', message: /channel.+0 to 127/ })
    }
  }
  client.send(Buffer.from('end'))
  await until(() => got.length > 0)
  t.is(got[0].bytes.toString(), 'end')
})

test('a message of exactly maxMessageLength is taken, and one byte more is TooLarge', async (t) => {
  const { server, client, peer } = await startPair(t, { maxMessageLength: 1000 })
  const got = collect(server)
  const over = pattern(1001)
  t.is(client.send(over), SendStatus.TooLarge)
  t.is(client.send(over, 0, 1001), SendStatus.TooLarge)
  t.is(client.claim(1001), SendStatus.TooLarge)
  t.is(peer.send(over), SendStatus.TooLarge)
  t.is(server.send('client', over), SendStatus.TooLarge)
  t.is(server.broadcast(over), 0)
  t.is(client.send(over, 1, 1000), SendStatus.Sent)
  t.is(client.send(over.subarray(0, 1000)), SendStatus.Sent)
  await until(() => got.length === 2)
  assertMessages(t, got, [over.subarray(1), over.subarray(0, 1000)])
})

test('the other side’s maxMessageLength counts as well', async (t) => {
  const server = await startServer(t, { maxMessageLength: 1000 })
  const client = await startClient(t, server, 'client', { maxMessageLength: 500 })
  const peer = await until(() => server.peer('client'))
  const got = collect(client)
  t.is(peer.send(pattern(501)), SendStatus.TooLarge)
  t.is(server.broadcast(pattern(501)), 0)
  t.is(peer.send(pattern(500)), SendStatus.Sent)
  t.is(client.send(pattern(501)), SendStatus.TooLarge)
  await until(() => got.length === 1)
  assertMessages(t, got, [pattern(500)])
})

for (const length of [7, 32, 33, 5000]) {
  test(`send takes all kinds of byte arrays: ${length} bytes`, async (t) => {
    const { server, client } = await startPair(t)
    const got = collect(server)
    const content = pattern(length)
    const padded = Buffer.concat([pattern(3, 1), content, pattern(2, 1)])
    const shared = new Uint8Array(new SharedArrayBuffer(padded.length))
    shared.set(padded)
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 100, padded.length)
    memory.set(padded)
    const sources = [padded, Uint8Array.from(padded), shared, memory, Buffer.from(shared.buffer)]
    for (const source of sources) {
      t.is(client.send(source.subarray(3, 3 + length)), SendStatus.Sent)
      t.is(client.send(source, 3, length), SendStatus.Sent)
      t.is(client.send(source.subarray(1), 2, length), SendStatus.Sent)
    }
    await until(() => got.length === 3 * sources.length)
    assertMessages(
      t,
      got,
      got.map(() => content)
    )
  })
}

test('the bytes are copied before send returns', async (t) => {
  const { server, client } = await startPair(t)
  const got = collect(server)
  for (const length of [10, 100]) {
    const bytes = Buffer.alloc(length, 1)
    client.send(bytes)
    bytes.fill(2)
    client.send(bytes, 0, length)
    bytes.fill(3)
  }
  await until(() => got.length === 4)
  t.deepEqual(
    got.map(({ bytes }) => [bytes[0], bytes.at(-1)]),
    [
      [1, 1],
      [2, 2],
      [1, 1],
      [2, 2]
    ]
  )
})

test('send throws for what is not a byte array, connected or not', async (t) => {
  const { server, client, peer } = await startPair(t)
  const bad = [
    undefined,
    null,
    'text',
    42,
    [1, 2],
    {},
    new ArrayBuffer(4),
    new DataView(new ArrayBuffer(4)),
    new Uint16Array(4),
    new Int8Array(4)
  ]
  const check = () => {
    for (const bytes of bad) {
      for (const call of [
        () => client.send(bytes),
        () => client.send(bytes, 0, 1),
        () => peer.send(bytes),
        () => server.send('client', bytes),
        () => server.send('unknown', bytes),
        () => server.broadcast(bytes)
      ]) {
        t.throws(call, { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT', message: /Uint8Array/ })
      }
    }
  }
  check()
  await client.stop()
  await until(() => server.peerCount === 0)
  check()
})

test('send throws for a part outside of the array, and sends nothing', async (t) => {
  const { server, client, peer } = await startPair(t)
  const got = collect(server)
  for (const bytes of [pattern(10), pattern(100)]) {
    const size = bytes.length
    for (const [offset, length] of [
      [0, size + 1],
      [1, size],
      [size, 1],
      [size + 1, 0],
      [-1, 2],
      [0, -1],
      [0.5, 1],
      [0, 1.5],
      [Number.NaN, 1],
      [0, Number.NaN],
      ['0', 1],
      [0, '1'],
      [0, null],
      [2 ** 32, 1],
      [0, 2 ** 32],
      [2 ** 32 + 1, 1],
      [Number.MAX_SAFE_INTEGER, 2]
    ]) {
      for (const sender of [client, peer]) {
        t.throws(
          () => sender.send(bytes, offset, length),
          { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT' },
          `offset ${offset}, length ${length} of ${size}`
        )
      }
    }
    t.is(client.send(bytes, size, 0), SendStatus.Sent)
  }
  await until(() => got.length === 2)
  t.deepEqual(
    got.map(({ bytes }) => bytes.length),
    [0, 0]
  )
})

test('server.send goes to the peer with this id and to no other', async (t) => {
  const server = await startServer(t)
  const clients = []
  for (const id of ['ann', 'bob', 'čeněk']) {
    const client = await startClient(t, server, id)
    clients.push(collect(client))
  }
  await until(() => server.peerCount === 3)
  t.is(server.send('ann', Buffer.from('to ann')), SendStatus.Sent)
  t.is(server.send('čeněk', Buffer.from('[to čeněk]'), 1, Buffer.byteLength('to čeněk')), SendStatus.Sent)
  t.is(server.send('bo', Buffer.from('x')), SendStatus.NotConnected)
  t.is(server.send('', Buffer.from('x')), SendStatus.NotConnected)
  t.is(server.send('constructor', Buffer.from('x')), SendStatus.NotConnected)
  t.throws(() => server.send(7, Buffer.from('x')), { code: 'ZERIO_BAD_ARGUMENT', message: /peer id/ })
  t.is(server.broadcast(Buffer.from('to all')), 3)
  await until(() => clients.every((got) => got.at(-1)?.bytes.toString() === 'to all'))
  t.deepEqual(
    clients.map((got) => got.map(({ bytes }) => bytes.toString())),
    [['to ann', 'to all'], ['to all'], ['to čeněk', 'to all']]
  )
})

test('wrong arguments throw also when no peer is connected', async (t) => {
  const server = await startServer(t)
  const bad = { code: 'ZERIO_BAD_ARGUMENT' }
  const bytes = Buffer.from('x')
  for (const args of [[bytes, 999], [bytes, -1], [bytes, 5, 9], [bytes, 0, 1, 128], ['x'], [undefined]]) {
    t.throws(() => server.send('unknown', ...args), bad)
    t.throws(() => server.broadcast(...args), bad)
  }
  t.is(server.broadcast(bytes, 3), 0)
  t.is(server.send('unknown', bytes, 0, 1, 127), SendStatus.NotConnected)
})

test('broadcast sends to all peers without an open claim, and then throws', async (t) => {
  const server = await startServer(t)
  const clients = []
  for (let i = 0; i < 5; i++) clients.push(collect(await startClient(t, server, `client ${i}`)))
  await until(() => server.peerCount === 5)
  const claiming = server.peer('client 2')
  const at = claiming.claim(2)
  t.throws(() => server.broadcast(Buffer.from('all')), { code: 'ZERIO_CLAIM_OPEN' })
  t.throws(() => server.broadcast(Buffer.from('[all]'), 1, 3), { code: 'ZERIO_CLAIM_OPEN' })
  claiming.buffer.write('me', at)
  claiming.commit()
  t.is(server.broadcast(Buffer.from('end')), 5)
  await until(() => clients.every((got) => got.at(-1)?.bytes.toString() === 'end'))
  for (const [i, got] of clients.entries()) {
    t.deepEqual(
      got.map(({ bytes }) => bytes.toString()),
      i === 2 ? ['me', 'end'] : ['all', 'all', 'end']
    )
  }
})

test('null, undefined or delete removes a handler', async (t) => {
  const { server, client, peer } = await startPair(t)
  const got = collect(server)
  const answers = collect(client)
  let handled = 0
  for (const takeAway of [
    (one) => (one.onMessage = null),
    (one) => (one.onMessage = undefined),
    (one) => delete one.onMessage
  ]) {
    server.onMessage = client.onMessage = () => handled++
    takeAway(server)
    takeAway(client)
    client.send(Buffer.from('x'))
    peer.send(Buffer.from('x'))
  }
  await until(() => got.length === 3 && answers.length === 3)
  t.is(handled, 0)
})

test('removeAllListeners removes all listeners, and later listeners are called', async (t) => {
  const { server, client, peer } = await startPair(t)
  for (const one of [server, client]) {
    const names = ['message', 'drain', 'error']
    for (const name of names) one.on(name, () => t.fail())
    one.removeAllListeners()
    for (const name of names) t.is(one.listenerCount(name), 0)
    one.removeAllListeners()
    t.is(one.listenerCount('newListener'), 1)
  }
  client.send(Buffer.from('dropped'))
  await until(() => server.counters.messagesReceived === 1)
  const got = collect(server)
  const answers = collect(client)
  client.send(Buffer.from('heard'))
  peer.send(Buffer.from('too'))
  await until(() => got.length === 1 && answers.length === 1)
  t.is(got[0].bytes.toString() + answers[0].bytes.toString(), 'heardtoo')
})

test('each SendStatus is a number, negative except Sent, and the list is frozen', (t) => {
  t.true(Object.isFrozen(SendStatus))
  t.deepEqual(SendStatus, {
    Sent: 0,
    BackPressured: -1,
    NotConnected: -2,
    TooLarge: -3,
    Closed: -4,
    ChannelUnsupported: -5
  })
})

test('flush hands over what was accepted for one connection, at once', async (t) => {
  const { server, client, peer } = await startPair(t)
  const other = await startClient(t, server, 'other')
  const two = await until(() => server.peer('other'))
  const bytes = Buffer.alloc(100)
  const pending = () => [peer, two, client, other].map((one) => one.pendingBytes > 0)
  for (const one of [peer, two, client, other]) one.send(bytes)
  t.deepEqual(pending(), [true, true, true, true])
  peer.flush()
  t.deepEqual(pending(), [false, true, true, true])
  client.flush()
  t.deepEqual(pending(), [false, true, false, true])
  peer.send(bytes)
  server.flush()
  t.deepEqual(pending(), [false, false, false, false])
  peer.close()
  peer.flush()
  await until(() => peer.state === 'closed')
  peer.flush()
})
