// Conditions: a network that is bad on purpose delays, stalls and resets, and changes nothing else.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import {
  collect,
  makeClient,
  pattern,
  randomFrom,
  sendWhenRoom,
  startClient,
  startPair,
  startServer
} from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'

test('a message takes at least the lag of the side that receives it, and an answer that of both', async (t) => {
  const { client, server } = await startPair(
    t,
    {},
    {
      server: { conditions: { lagMs: 40 } },
      client: { conditions: { lagMs: 20 } }
    }
  )
  server.onMessage = (peer, buffer, offset, length) => {
    t.true(performance.now() - sentMs >= 40)
    peer.send(buffer, offset, length)
  }
  let sentMs = 0
  for (let i = 0; i < 3; i++) {
    sentMs = performance.now()
    client.send(Buffer.from('question'))
    await once(client, 'message')
    t.true(performance.now() - sentMs >= 60)
  }
  t.true((await client.ping()) >= 60_000)
})

test('jitter and stalls change neither the bytes nor their order', async (t) => {
  const { client, peer, server } = await startPair(t, {
    conditions: { lagMs: 3, jitterMs: 5, stallEveryMs: 20, stallMs: 10, seed: 3 }
  })
  const ends = [
    { end: client, received: collect(server), sent: [] },
    { end: peer, received: collect(client), sent: [] }
  ]
  const random = randomFrom(5)
  for (let i = 0; i < 120; i++) {
    for (const { end, sent } of ends) {
      const bytes = pattern(i % 10 === 0 ? random(60_000) : random(300), i)
      if (end.send(bytes, i) === SendStatus.Sent) sent.push({ bytes, channel: i })
    }
    await new Promise(setImmediate)
  }
  for (const { received, sent } of ends) {
    t.true(sent.length > 50)
    await until(() => received.length === sent.length)
    t.deepEqual(received, sent)
  }
})

test('what was sent before an end arrives before the end', async (t) => {
  const server = await startServer(t, { conditions: { lagMs: 30 } })
  const messages = collect(server)
  const client = await startClient(t, server)
  client.send(Buffer.from('last words'))
  const left = once(server, 'clientDisconnected')
  await client.stop(4001, 'enough')
  const [, reason] = await left
  t.is(reason.closeCode, 4001)
  t.deepEqual(
    messages.map(({ bytes }) => `${bytes}`),
    ['last words']
  )
})

/** Of connections that are made one after the other: which ones live longer than conditions let those live that they reset. */
async function fates(t, seed) {
  const server = await startServer(t, { conditions: { resetPercent: 50, resetWithinMs: 5, seed } })
  const codes = []
  server.on('clientDisconnected', (_id, { code }) => codes.push(code))
  const found = []
  for (let i = 0; i < 12; i++) {
    const client = makeClient(t, server)
    // The reset may come before the handshake is over.
    const alive = await client.start(`client-${i}`).then(
      async () => {
        await pause(6)
        return client.ping().then(
          () => true,
          () => false
        )
      },
      () => false
    )
    found.push(alive)
    t.is(client.isConnected, alive)
    await client.stop()
  }
  await server.stop()
  t.true(
    codes.every((code) => code === 'ECONNRESET' || code === 'ZERIO_NORMAL'),
    codes.join()
  )
  return found
}

test('a seed decides which connections are reset', async (t) => {
  const [first, again, other] = await Promise.all([fates(t, 7), fates(t, 7), fates(t, 8)])
  t.deepEqual(first, again)
  t.notDeepEqual(first, other)
  t.true(first.includes(true) && first.includes(false))
})

test('both sides see a reset', async (t) => {
  const server = await startServer(t, { conditions: { resetPercent: 100, resetWithinMs: 300 } })
  const codes = []
  server.once('clientDisconnected', (_id, { code }) => codes.push(code))
  // Attempts whose handshake is not over in time are reset, too.
  const reconnect = { first: true, delayMs: 1, delayMsMax: 1 }
  const client = makeClient(t, server, { reconnect })
  client.once('disconnected', ({ code }) => codes.push(code))
  await client.start('client')
  await until(() => codes.length === 2)
  await client.stop()
  t.deepEqual(codes, ['ECONNRESET', 'ECONNRESET'])
})

test('with sessions nothing is lost, however often connections are reset', async (t) => {
  const conditions = { lagMs: 1, jitterMs: 2, resetPercent: 100, resetWithinMs: 60, seed: 1 }
  const server = await startServer(t, { sessions: true, conditions })
  const client = new ZerioClient(
    { host: '127.0.0.1', port: server.listeningPort },
    { session: true, reconnect: { delayMs: 1, delayMsMax: 10, first: true } }
  )
  t.teardown(() => client.terminate())
  const numbers = { atServer: [], atClient: [] }
  server.onMessage = (peer, buffer, offset) => {
    numbers.atServer.push(buffer.readUInt32LE(offset))
    t.is(peer.send(buffer, offset, 4), SendStatus.Sent)
  }
  client.onMessage = (buffer, offset) => {
    numbers.atClient.push(buffer.readUInt32LE(offset))
  }
  await client.start('client')
  const message = Buffer.alloc(4)
  let sent = 0
  while (server.counters.resumed < 5 || sent < 500) {
    for (let i = 0; i < 10 && sent - numbers.atClient.length < 1000; i++) {
      message.writeUInt32LE(sent)
      if (client.send(message) === SendStatus.Sent) sent++
    }
    await pause(1)
  }
  await until(() => numbers.atClient.length === sent)
  const all = Array.from({ length: sent }, (_, i) => i)
  t.deepEqual(numbers.atServer, all)
  t.deepEqual(numbers.atClient, all)
})

test('what is held back has a limit, beyond which nothing is read', async (t) => {
  const megabyte = 1024 * 1024
  const server = await startServer(t, { conditions: { lagMs: 300 } })
  const client = await startClient(t, server)
  const message = Buffer.alloc(60_000)
  const total = Math.floor((32 * megabyte) / message.length)
  const numbers = []
  let sent = 0
  let sentBefore = 0
  server.onMessage = (_peer, buffer, offset) => {
    if (numbers.length === 0) sentBefore = sent
    numbers.push(buffer.readUInt32LE(offset))
  }
  for (; sent < total; sent++) {
    message.writeUInt32LE(sent)
    await sendWhenRoom(client, message)
  }
  await until(() => numbers.length === total)
  t.deepEqual(
    numbers,
    Array.from({ length: total }, (_, i) => i)
  )
  // The rest lies in the ring and in the system's buffers.
  t.true(sentBefore * message.length < 28 * megabyte, `${sentBefore}`)
})

test('a paused connection holds no other one up, though its sender fills all there is', async (t) => {
  const server = await startServer(t, { conditions: { lagMs: 50, seed: 2 } })
  const [flooding, other] = [await startClient(t, server), await startClient(t, server, 'other')]
  const paused = await until(() => server.peer('client'))
  server.onMessage = (peer, buffer, offset, length) => peer === paused || peer.send(buffer, offset, length)
  paused.pause()
  const message = Buffer.alloc(60_000)
  let refusedSince = 0
  // Until the sender's ring, both systems and the engine are full.
  await until(() => {
    if (flooding.send(message) === SendStatus.Sent) refusedSince = performance.now()
    return performance.now() - refusedSince > 200
  })
  const answers = collect(other)
  other.send(Buffer.from('in time'))
  await until(() => answers.length === 1)
  const newcomer = await startClient(t, server, 'newcomer')
  t.true(newcomer.isConnected)
})

test('what came before both directions ended is delivered', async (t) => {
  const server = await startServer(t, { allowHalfOpen: true })
  server.on('clientEnded', (_id, peer) => {
    peer.send(Buffer.from('the answer'))
    peer.end()
  })
  const client = makeClient(t, server, { conditions: { lagMs: 30 } })
  const answers = collect(client)
  await client.start('client')
  client.end()
  const [reason] = await once(client, 'disconnected')
  t.is(answers.length, 1)
  t.is(reason.code, 'ZERIO_PEER_LEFT')
})

test('a program that polls gets what is due', async (t) => {
  const { client, server } = await startPair(t, { waitStrategy: 'manual', conditions: { lagMs: 15 } })
  const messages = collect(server)
  const sentMs = performance.now()
  client.send(Buffer.from('x'))
  client.flush()
  await pollUntil(server, () => messages.length === 1)
  t.true(performance.now() - sentMs >= 15)
})

test('only objects with equal conditions share an engine with them', async (t) => {
  const start = (conditions) => startServer(t, { conditions })
  const [plain, other, bad, same, worse] = await Promise.all(
    [undefined, undefined, { lagMs: 1 }, { lagMs: 1, seed: 0 }, { lagMs: 2 }].map(start)
  )
  t.is(plain.engine, other.engine)
  t.is(bad.engine, same.engine)
  t.is(new Set([plain.engine, bad.engine, worse.engine]).size, 3)
})

test('what is no condition is refused', (t) => {
  for (const Class of [ZerioServer, ZerioClient]) {
    const refuses = (conditions, message) =>
      t.throws(() => new Class(1, { conditions }), { code: 'ZERIO_BAD_OPTION', message })
    refuses({ lossPercent: 1 }, /no option "conditions\.lossPercent"; there are lagMs, /)
    refuses({ lagMs: 60_001 }, /"conditions\.lagMs" must be an integer from 0 to 60000, not 60001/)
    refuses({ resetPercent: 0.5 }, /"conditions\.resetPercent" must be an integer/)
    refuses({ stallEveryMs: 9 }, /0 or an integer from 10/)
    refuses({ seed: -1 }, /"conditions\.seed" must be an integer from 0 to 4294967295/)
    refuses(true, /"conditions" must be an object/)
    refuses([], /must be an object/)
    t.notThrows(() => new Class(1, { conditions: {} }))
  }
})
