// Pausing: a paused connection delivers nothing, loses nothing, and holds its sender back.
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { BrokenPath } from '../helpers/broken_path.mjs'
import { makeClient, ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import { CODE, connectNative, controlFrame, dataFrame, farewell, OPCODE } from '../helpers/wire_raw.mjs'

const upTo = (count) => Array.from({ length: count }, (_, i) => i)
const turn = () => new Promise(setImmediate)
/** Engines of a side that fills quickly. */
const SMALL = {
  sendRingBytes: 16_384,
  maxMessageLength: 8000,
  socketSendBytes: 8192,
  socketReceiveBytes: 8192
}

/** The numbers that arrive at `end`, a client or a peer. `then(number)` is called behind each. */
function numbersAt(end, then) {
  const numbers = []
  end.onMessage = (...args) => {
    const [buffer, offset] = args.length === 5 ? args.slice(1) : args
    const number = buffer.view.getUint32(offset, true)
    numbers.push(number)
    then?.(number)
  }
  return numbers
}

/** Sends the numbers from `from` to `to - 1`, each in a message of `length` bytes, until one is refused. Returns the next one. */
function sendNumbers(end, from, to, length = 4) {
  const bytes = Buffer.alloc(length)
  for (let next = from; next < to; next++) {
    bytes.writeUInt32LE(next)
    if (end.send(bytes) !== SendStatus.Sent) return next
  }
  return to
}

/** Sends until the path to the other side is full, and says how many were accepted. */
async function fill(end, length = 4000) {
  let next = 0
  for (let quiet = 0; quiet < 20; quiet++) {
    const before = next
    next = sendNumbers(end, next, next + 1000, length)
    if (next > before) quiet = 0
    await sleep(2)
  }
  return next
}

for (const side of ['peer', 'client']) {
  test(`a ${side} that pauses in its handler gets nothing more of the batch, and then all of it in order`, async (t) => {
    const { client, peer } = await startPair(t)
    const [receiver, sender] = side === 'peer' ? [peer, client] : [client, peer]
    const numbers = numbersAt(receiver, (number) => number === 9 && receiver.pause())
    t.false(receiver.isPaused)
    sendNumbers(sender, 0, 1000)
    await until(() => receiver.isPaused)
    for (let i = 0; i < 20; i++) await turn()
    t.deepEqual(numbers, upTo(10))
    sendNumbers(sender, 1000, 1500)
    receiver.resume()
    t.false(receiver.isPaused)
    t.is(numbers.length, 10, 'resume delivers in a later turn')
    await until(() => numbers.length === 1500)
    t.deepEqual(numbers, upTo(1500))
  })
}

test('a handler that pauses and resumes at once misses nothing, and one that pauses for each message gets one at a time', async (t) => {
  const { client, peer } = await startPair(t)
  const numbers = numbersAt(peer, () => {
    peer.pause()
    peer.resume()
  })
  sendNumbers(client, 0, 1000)
  await until(() => numbers.length === 1000)
  let busy = 0
  const again = numbersAt(peer, async () => {
    t.is(busy++, 0)
    peer.pause()
    await turn()
    busy--
    peer.resume()
  })
  sendNumbers(client, 0, 300)
  await until(() => again.length === 300)
  t.deepEqual(again, upTo(300))
  t.deepEqual(numbers, upTo(1000))
})

test('the sender of a paused connection is held back, and nothing is lost', async (t) => {
  const { client, peer } = await startPair(t, SMALL)
  const numbers = numbersAt(peer)
  peer.pause()
  // The kernel may take more bytes while the peer does not read, and then the client emits drain. So the test listens for it in the
  // same turn in which a send is refused.
  const accepted = sendNumbers(client, await fill(client), 2000, 4000)
  t.is(client.send(Buffer.alloc(4000)), SendStatus.BackPressured)
  const drained = once(client, 'drain')
  t.is(numbers.length, 0)
  t.true(client.pendingBytes > 0)
  // The other direction works.
  const answers = numbersAt(client)
  sendNumbers(peer, 0, 100)
  await until(() => answers.length === 100)
  peer.resume()
  await drained
  await until(() => numbers.length === accepted)
  t.deepEqual(numbers, upTo(accepted))
})

test('large messages, which come in pieces, wait as a whole', async (t) => {
  const options = { maxMessageLength: 1_000_000, sendRingBytes: 8_000_000 }
  const { client, peer } = await startPair(t, options)
  const sizes = []
  const numbers = numbersAt(peer, () => peer.pause())
  const { onMessage } = peer
  peer.onMessage = (who, buffer, offset, length, channel) => {
    sizes.push(`${length} ${channel} ${buffer[offset + length - 1]}`)
    onMessage(who, buffer, offset, length, channel)
  }
  const expected = []
  for (let i = 0; i < 6; i++) {
    const bytes = Buffer.alloc(i % 2 === 0 ? 900_000 : 10, i)
    bytes.writeUInt32LE(i)
    expected.push(`${bytes.length} ${i * 20} ${i}`)
    t.is(client.send(bytes, i * 20), SendStatus.Sent)
  }
  for (let i = 1; i <= 6; i++) {
    await until(() => peer.isPaused)
    await turn()
    t.is(numbers.length, i)
    peer.resume()
  }
  t.deepEqual(numbers, upTo(6))
  t.deepEqual(sizes, expected)
})

test('both onMessage and message listeners get the message whose handler pauses', async (t) => {
  const { server, client, peer } = await startPair(t)
  const copies = []
  server.on('message', (_id, bytes) => copies.push(bytes.readUInt32LE()))
  const numbers = numbersAt(peer, () => peer.pause())
  sendNumbers(client, 0, 3)
  for (let i = 1; i <= 3; i++) {
    await until(() => peer.isPaused)
    t.deepEqual(numbers, upTo(i))
    t.deepEqual(copies, upTo(i))
    peer.resume()
  }
})

test('a thousand pauses in quick succession lose nothing', async (t) => {
  const { client, peer } = await startPair(t, { sendRingBytes: 1 << 20 })
  const numbers = numbersAt(peer)
  let next = 0
  for (let i = 0; i < 1000; i++) {
    peer.pause()
    next = sendNumbers(client, next, next + 10)
    if (i % 3 === 0) await turn()
    peer.resume()
    if (i % 5 === 0) await turn()
    if (i % 7 === 0) {
      peer.pause()
      peer.resume()
    }
  }
  await until(() => numbers.length === 10_000)
  t.deepEqual(numbers, upTo(10_000))
})

test('the first bytes of a connection can wait, too', async (t) => {
  const numbers = []
  const server = await startServer(t, {}, (it) => {
    it.on('clientConnected', (_id, peer) => peer.pause())
    it.onMessage = (_peer, buffer, offset) => numbers.push(buffer.view.getUint32(offset, true))
  })
  const client = await startClient(t, server)
  sendNumbers(client, 0, 100)
  const peer = await until(() => server.peer('client'))
  // Longer than a connection is a newcomer.
  await sleep(60)
  t.is(numbers.length, 0)
  peer.resume()
  await until(() => numbers.length === 100)
})

test('after a close of the other side all messages come before the end', async (t) => {
  const { server, client, peer } = await startPair(t)
  const numbers = numbersAt(peer)
  peer.pause()
  sendNumbers(client, 0, 1000)
  const stopped = client.stop(4001, 'over')
  await sleep(30)
  t.is(numbers.length, 0)
  t.true(peer.isOpen)
  const left = once(server, 'clientDisconnected')
  peer.resume()
  const [, reason] = await left
  t.is(reason.closeCode, 4001)
  t.deepEqual(numbers, upTo(1000))
  t.false(peer.isPaused)
  await stopped
})

test('what is held back when the end comes is delivered just before it', async (t) => {
  const { server, client, peer } = await startPair(t)
  const order = []
  numbersAt(peer, (number) => {
    order.push(number)
    if (number === 2) peer.pause()
  })
  server.on('clientDisconnected', () => order.push('gone'))
  sendNumbers(client, 0, 10)
  await client.stop()
  await until(() => order.includes('gone') || peer.isPaused)
  peer.resume()
  await until(() => order.includes('gone'))
  t.deepEqual(order, [...upTo(10), 'gone'])
})

/** A raw peer that is paused and has sent the numbers from 0 to `count - 1`, in frames. */
async function pausedRaw(t, server, id, count) {
  const raw = await connectNative(t, server, id)
  const peer = await until(() => server.peer(id))
  peer.pause()
  const frames = upTo(count).map((number) => {
    const payload = Buffer.alloc(4)
    payload.writeUInt32LE(number)
    return dataFrame(payload)
  })
  if (count > 0) raw.write(Buffer.concat(frames))
  await sleep(20)
  return { raw, peer, numbers: numbersAt(peer) }
}

test('a reset and the end of the stream are noticed while paused', async (t) => {
  const server = await startServer(t)
  const ends = []
  server.on('clientDisconnected', (id, reason) => ends.push(`${id} ${reason.code}`))
  for (const how of ['resetAndDestroy', 'end']) {
    const { raw, peer } = await pausedRaw(t, server, how, 0)
    raw.socket[how]()
    await until(() => ends.some((one) => one.startsWith(how)))
    t.false(peer.isOpen)
  }
  t.deepEqual(ends, ['resetAndDestroy ECONNRESET', 'end ZERIO_PEER_LEFT'])
})

test('a close of the other side is noticed while paused', async (t) => {
  const { server, client, peer } = await startPair(t)
  peer.pause()
  const left = once(server, 'clientDisconnected')
  const began = performance.now()
  await client.stop(4001, 'over')
  const [, reason] = await left
  t.is(reason.closeCode, 4001)
  t.is(reason.message, 'over')
  t.false(reason.local)
  // The side that closes need not wait for its lingerMs.
  t.true(performance.now() - began < 900)

  await client.start('client')
  const stopped = once(client, 'disconnected')
  client.pause()
  await server.stop()
  t.is((await stopped)[0].code, 'ZERIO_GOING_AWAY')
})

test('a close is noticed while paused behind PINGs, too', async (t) => {
  const server = await startServer(t)
  const raw = await connectNative(t, server, 'raw')
  server.peer('raw').pause()
  const ended = once(server, 'clientDisconnected')
  for (let i = 0; i < 5; i++) raw.write(controlFrame(OPCODE.ping, Buffer.alloc(8)))
  raw.write(farewell(OPCODE.close, CODE.normal))
  raw.socket.end()
  t.is((await ended)[1].code, 'ZERIO_NORMAL')
})

test('a reset is noticed behind messages that wait; they come just before the end', async (t) => {
  const server = await startServer(t)
  const { raw, numbers } = await pausedRaw(t, server, 'raw', 1000)
  t.is(numbers.length, 0)
  const left = once(server, 'clientDisconnected')
  raw.socket.resetAndDestroy()
  const [, reason] = await left
  t.is(reason.code, 'ECONNRESET')
  // The system may drop what it has.
  t.deepEqual(numbers, upTo(numbers.length))
})

// Alone, because it counts how often the engine wakes up, and other tests keep the loop from polling.
test.serial('the end of the stream behind messages waits until these are delivered', async (t) => {
  const server = await startServer(t, ownEngine())
  const { raw, peer, numbers } = await pausedRaw(t, server, 'raw', 1000)
  // While nothing is read, an end that waits must not keep the engine awake.
  const { polls } = server.engine.counters
  raw.socket.end()
  await sleep(50)
  t.true(peer.isOpen)
  t.true(server.engine.counters.polls - polls < 100, `${server.engine.counters.polls - polls}`)
  t.is(numbers.length, 0)
  const left = once(server, 'clientDisconnected')
  peer.resume()
  const [, reason] = await left
  t.is(reason.code, 'ZERIO_PEER_LEFT')
  t.deepEqual(numbers, upTo(1000))
})

/** As startPair, over a Unix domain socket. */
async function startOverPath(t, options) {
  const folder = await mkdtemp(join(tmpdir(), 'zerio-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 's')
  const server = new ZerioServer({ path }, ownEngine(options))
  t.teardown(() => server.stop())
  await server.start('server')
  const client = new ZerioClient({ path }, { lingerMs: 10 })
  await client.start('client')
  return { server, client, peer: await until(() => server.peer('client')) }
}

test('over a Unix domain socket the end waits, too', async (t) => {
  const { server, client, peer } = await startOverPath(t)
  const numbers = numbersAt(peer)
  peer.pause()
  sendNumbers(client, 0, 1000)
  await client.stop()
  const { polls } = server.engine.counters
  await sleep(50)
  t.true(server.engine.counters.polls - polls < 100, `${server.engine.counters.polls - polls}`)
  t.is(numbers.length, 0)
  const left = once(server, 'clientDisconnected')
  peer.resume()
  await left
  t.deepEqual(numbers, upTo(1000))
})

test('a send that fails while a connection is paused loses nothing of what came', async (t) => {
  const { server, client, peer } = await startOverPath(t, { lingerMs: 2000 })
  const numbers = numbersAt(peer)
  const left = once(server, 'clientDisconnected')
  peer.pause()
  sendNumbers(client, 0, 1000)
  await client.stop()
  for (let i = 0; i < 3; i++) {
    peer.send(Buffer.alloc(1))
    await sleep(10)
  }
  const [, reason] = await left
  t.deepEqual(numbers, upTo(1000))
  t.is(reason.code, 'ZERIO_NORMAL')
})

test('a paused program hears of an end of the other direction when it has got all', async (t) => {
  const { server, client, peer } = await startPair(t, ownEngine({ allowHalfOpen: true }))
  const ends = []
  server.on('clientEnded', () => ends.push(numbers.length))
  const numbers = numbersAt(peer, (number) => number % 4 === 3 && peer.pause())
  sendNumbers(client, 0, 10)
  client.end()
  await until(() => peer.isPaused)
  await sleep(30)
  t.deepEqual(numbers, upTo(4))
  t.deepEqual(ends, [])
  await until(() => {
    peer.resume()
    return ends.length > 0
  })
  t.deepEqual(ends, [10])
  peer.end()
  await once(server, 'clientDisconnected')
})

for (const how of ['close', 'terminate', 'stop']) {
  test(`${how} ends a paused connection, and what waits is dropped`, async (t) => {
    const { server, client, peer } = await startPair(t, SMALL)
    const numbers = numbersAt(peer, (number) => number === 4 && peer.pause())
    sendNumbers(client, 0, 100)
    await until(() => peer.isPaused)
    await fill(client)
    sendNumbers(peer, 0, 10)
    const answers = numbersAt(client)
    const [left, gone] = [once(server, 'clientDisconnected'), once(client, 'disconnected')]
    if (how === 'stop') await server.stop()
    else peer[how]()
    t.false(peer.isPaused)
    const [, reason] = await left
    t.is(reason.code, { close: 'ZERIO_NORMAL', terminate: 'ZERIO_ABORTED', stop: 'ZERIO_GOING_AWAY' }[how])
    await gone
    if (how !== 'terminate') t.deepEqual(answers, upTo(10))
    peer.pause()
    peer.resume()
    t.false(peer.isPaused)
    await until(() => peer.state === 'closed')
    t.deepEqual(numbers, upTo(5))
  })
}

test('a paused client stops', async (t) => {
  const { client, peer } = await startPair(t, SMALL)
  client.pause()
  t.true(client.isPaused)
  await fill(peer)
  sendNumbers(client, 0, 10)
  const numbers = numbersAt(peer)
  await client.stop()
  t.false(client.isPaused)
  await until(() => numbers.length === 10 && peer.state === 'closed')
})

test('heartbeats and idle limits spare a connection that this side has paused, and its PINGs keep the other side calm', async (t) => {
  const { server, client, peer } = await startPair(t, {}, { client: { heartbeatMs: 50 } })
  const numbers = numbersAt(peer)
  // In the turn of the pause: before it, and behind resume(), a busy machine may be silent for a while.
  peer.configure({ heartbeatMs: 50, idleTimeoutMs: 50 })
  peer.pause()
  // Without PINGs the client would count the peer as dead after 250 ms.
  await sleep(600)
  t.true(peer.isOpen)
  t.true(client.isConnected)
  t.is(server.counters.idleTimeouts + server.counters.heartbeatTimeouts, 0)
  sendNumbers(client, 0, 10)
  peer.resume()
  await until(() => numbers.length === 10)
})

test('without heartbeats of its own a paused side is dead to the heartbeats of the other side', async (t) => {
  const { client, peer } = await startPair(t, {}, { client: { heartbeatMs: 10 } })
  peer.pause()
  const [reason] = await once(client, 'disconnected')
  t.is(reason.code, 'ZERIO_HEARTBEAT_TIMEOUT')
})

test('a ping of a paused connection is answered when it goes on', async (t) => {
  const { client, peer } = await startPair(t)
  peer.pause()
  // On Windows two receives of a paused connection are under way. They would take the answer, so each gets a message first.
  for (let i = 0; i < 2; i++) {
    sendNumbers(client, 0, 1)
    await sleep(20)
  }
  await t.throwsAsync(peer.ping(30), { code: 'ZERIO_PING_TIMEOUT' })
  peer.resume()
  t.true((await peer.ping()) > 0)
  peer.pause()
  const answer = peer.ping(5000)
  peer.resume()
  t.true((await answer) > 0)
})

test('with manual the messages that wait are delivered by poll, one exception at a time, and before newer ones', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const { server, client, peer } = await startPair(t, options)
  const numbers = numbersAt(peer, (number) => {
    if (number === 1) peer.pause()
    if (number === 5) throw new Error('the fifth')
  })
  sendNumbers(client, 0, 10)
  await pollUntil(server, () => peer.isPaused)
  sendNumbers(client, 10, 20)
  server.poll()
  peer.resume()
  await turn()
  t.deepEqual(numbers, upTo(2))
  t.throws(() => server.poll(), { message: 'the fifth' })
  t.deepEqual(numbers, upTo(6))
  t.true(server.poll() >= 4)
  await pollUntil(server, () => numbers.length === 20)
  t.deepEqual(numbers, upTo(20))
})

test('messages that wait are delivered in the async context of their connection', async (t) => {
  const storage = new AsyncLocalStorage()
  const server = await startServer(t)
  const client = makeClient(t, server)
  await storage.run('of the start', () => client.start('client'))
  const seen = []
  const numbers = numbersAt(client, () => {
    seen.push(storage.getStore())
    client.pause()
  })
  const peer = await until(() => server.peer('client'))
  sendNumbers(peer, 0, 3)
  for (let i = 1; i <= 3; i++) {
    await until(() => numbers.length === i)
    storage.run('another', () => client.resume())
  }
  t.deepEqual(seen, ['of the start', 'of the start', 'of the start'])
})

test('a client without a connection is not paused, and with reconnect the next connection begins unpaused', async (t) => {
  const server = await startServer(t)
  const client = makeClient(t, server, { reconnect: { delayMs: 1, delayMsMax: 20 } })
  client.pause()
  t.false(client.isPaused)
  await client.start('client')
  t.false(client.isPaused)
  client.pause()
  client.pause()
  t.true(client.isPaused)
  const again = once(client, 'connected')
  server.peer('client').terminate()
  await again
  t.false(client.isPaused)
  const numbers = numbersAt(client)
  sendNumbers(await until(() => server.peer('client')), 0, 10)
  await until(() => numbers.length === 10)
})

test('a pause lasts over the break of a session, and nothing is lost in either direction', async (t) => {
  const server = await startServer(t, { sessions: true })
  const path = await BrokenPath.start(t, server.listeningPort)
  const options = { session: true, reconnect: { delayMs: 1, delayMsMax: 20 } }
  const client = new ZerioClient({ host: '127.0.0.1', port: path.port }, options)
  t.teardown(() => client.terminate())
  await client.start('client')
  const peer = await until(() => server.peer('client'))
  const ends = [client, peer]
  // Each begins with a part of a batch held back.
  const arrived = ends.map((end) => numbersAt(end, (number) => number % 150 === 20 && end.pause()))
  let next = 0
  for (let round = 1; round <= 5; round++) {
    for (const end of ends) sendNumbers(end, next, next + 150)
    next += 150
    await until(() => ends.every((end) => end.isPaused))
    if (round % 2 === 0) {
      // Behind acknowledgements that are not read the end of a stream waits.
      path.break('end')
    } else {
      const before = arrived.map((one) => one.length)
      path.break('reset')
      // On Windows a paused connection whose receives have all come notices a reset when it sends.
      if (process.platform === 'win32') {
        for (const end of ends) sendNumbers(end, next, next + 1)
        next++
      }
      await until(() => server.counters.resumed >= round && client.isConnected && peer.state === 'open')
      for (let i = 0; i < 5; i++) await turn()
      t.true(ends.every((end) => end.isPaused))
      t.deepEqual(
        arrived.map((one) => one.length),
        before
      )
    }
    for (const end of ends) end.resume()
    await until(() => arrived.every((one) => one.length === next) && server.counters.resumed >= round)
  }
  for (const one of arrived) t.deepEqual(one, upTo(next))
})

test('what is held back of a session that is lost comes before its end', async (t) => {
  const server = await startServer(t, { sessions: { resumeMsMax: 10 } })
  const path = await BrokenPath.start(t, server.listeningPort)
  const client = new ZerioClient({ host: '127.0.0.1', port: path.port }, { session: true })
  t.teardown(() => client.terminate())
  await client.start('client')
  const peer = await until(() => server.peer('client'))
  const order = []
  numbersAt(peer, (number) => {
    order.push(number)
    if (number === 2) peer.pause()
  })
  server.on('clientDisconnected', (_id, reason) => order.push(reason.code))
  sendNumbers(client, 0, 10)
  await until(() => peer.isPaused)
  await until(() => client.pendingBytes === 0)
  path.open = false
  path.break()
  await until(() => order.includes('ZERIO_SESSION_LOST'))
  t.deepEqual(order, [...upTo(10), 'ZERIO_SESSION_LOST'])
})
