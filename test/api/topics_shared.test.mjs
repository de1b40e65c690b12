// The engine sends a message from one copy to all members that have nothing else to be sent. The program must see no difference: messages
// keep the order of the calls, and the counters are the same as when each member is sent to from its ring.
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { SendStatus } from 'zerio'
import { ownEngine, randomFrom, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const CLIENTS = 40
const STEPS = 2500
const LONG = 20_000

/** A client, and the numbers that it has got and is to get. */
async function connect(t, server, id, options) {
  const got = []
  const client = await startClient(t, server, id, options, (one) => {
    one.onMessage = (buffer, offset, length, channel) => {
      const number = buffer.readUInt32LE(offset)
      // What stands behind the number shows a frame that is torn or overwritten.
      const filled = length === 4 || buffer[offset + length - 1] === number % 251
      got.push(filled ? number * 8 + channel : `torn ${number}`)
    }
  })
  return { client, got, expected: [], peer: await until(() => server.peer(id)), claimed: false }
}

class Course {
  #number = 0
  #bytes = Buffer.alloc(LONG)

  constructor(random, server, lines) {
    this.random = random
    this.server = server
    this.lines = lines
    this.topics = ['a', 'b'].map((name) => ({ topic: server.topic(name), members: new Set(), delivered: 0 }))
    for (const one of this.topics) for (const line of lines) this.#join(one, line)
  }

  #join({ topic, members }, line) {
    if (topic.add(line.peer)) members.add(line)
  }

  /** The next message: its number, length and channel. */
  #next() {
    const { random } = this
    const number = ++this.#number
    const length = random(40) === 0 ? LONG - random(9000) : 4 + random(300)
    this.#bytes.fill(number % 251, 0, length)
    this.#bytes.writeUInt32LE(number)
    return { number, length, channel: random(3) === 0 ? random(4) : 0 }
  }

  /** Publishes by `publish`, and notes who is to get it. */
  #publish(members, message, publish) {
    const takers = [...members].filter((line) => !line.claimed && line.peer.isOpen)
    const isRefused = [...members].some((line) => line.claimed)
    try {
      const taken = publish()
      if (isRefused || taken !== takers.length) throw new Error(`${taken} took it, not ${takers.length}`)
    } catch (error) {
      if (!isRefused || error.code !== 'ZERIO_CLAIM_OPEN') throw error
    }
    for (const { expected } of takers) expected.push(message.number * 8 + message.channel)
    return takers.length
  }

  step() {
    const { random, server, lines } = this
    const line = lines[random(lines.length)]
    const one = this.topics[random(8) === 0 ? 1 : 0]
    const { topic, members } = one
    const bytes = this.#bytes
    switch (random(20)) {
      case 0:
        if (topic.delete(line.peer)) members.delete(line)
        return
      case 1:
      case 2:
        this.#join(one, line)
        return
      case 3: {
        const message = this.#next()
        if (line.claimed || line.peer.send(bytes, 0, message.length, message.channel) !== SendStatus.Sent)
          return
        line.expected.push(message.number * 8 + message.channel)
        return
      }
      case 4:
        this.#useClaim(line)
        return
      case 5: {
        const message = this.#next()
        const all = new Set(lines)
        this.#publish(all, message, () => server.broadcast(bytes, 0, message.length, message.channel))
        return
      }
      case 6: {
        const message = this.#next()
        const others = new Set(members)
        others.delete(line)
        one.delivered += this.#publish(others, message, () =>
          topic.publishExcept(line.peer, bytes, 0, message.length, message.channel)
        )
        return
      }
      case 7: {
        const message = this.#next()
        bytes.copy(topic.buffer, topic.claim(message.length, message.channel), 0, message.length)
        one.delivered += this.#publish(members, message, () => topic.commit())
        return
      }
      case 8:
        if (random(3) === 0) server.flush()
        else if (random(2) === 0) line.peer.flush()
        else void (line.peer.pendingBytes + line.peer.counters.messagesSent)
        return
      case 9:
        if (random(60) > 0 || line.claimed) return
        line.peer.close()
        for (const { members: all } of this.topics) all.delete(line)
        return
      default: {
        const message = this.#next()
        one.delivered += this.#publish(members, message, () =>
          topic.publish(bytes, 0, message.length, message.channel)
        )
      }
    }
  }

  #useClaim(line) {
    if (!line.claimed) {
      const message = this.#next()
      const at = line.peer.claim(message.length, message.channel)
      if (at < 0) return
      this.#bytes.copy(line.peer.buffer, at, 0, message.length)
      line.claimed = message
      return
    }
    if (line.peer.commit() === SendStatus.Sent)
      line.expected.push(line.claimed.number * 8 + line.claimed.channel)
    line.claimed = false
  }

  finish() {
    for (const line of this.lines) if (line.claimed) this.#useClaim(line)
  }
}

for (let seed = 1; seed <= 6; seed++) {
  test.serial(
    `seed ${seed}: whatever is sent how, each peer gets it in the order of the calls`,
    async (t) => {
      const random = randomFrom(seed)
      const options = { sendRingBytes: 1 << 20, lingerMs: 5000 }
      const server = await startServer(t, options)
      const lines = []
      for (let i = 0; i < CLIENTS; i++) lines.push(await connect(t, server, `client ${i}`, options))
      const course = new Course(random, server, lines)
      for (let i = 0; i < STEPS; i++) {
        course.step()
        if (random(6) === 0) await new Promise(setImmediate)
        else if (random(20) === 0) await null
      }
      course.finish()
      await until(() => lines.every(({ got, expected }) => got.length >= expected.length))
      // More than it is to get would come, too.
      await sleep(20)
      for (const { got, expected } of lines) t.deepEqual(got, expected)
      for (const { peer, expected } of lines) t.is(peer.counters.messagesSent, expected.length)
      for (const { topic, delivered } of course.topics) t.is(topic.counters.delivered, delivered)
      for (const { peer } of lines) t.is(peer.pendingBytes, 0)
    }
  )
}

test('members that do not read miss whole messages, and the others none', async (t) => {
  const options = {
    maxMessageLength: 4096,
    sendRingBytes: 16384,
    socketSendBytes: 8192,
    socketReceiveBytes: 4096
  }
  const server = await startServer(t, options)
  const lines = []
  for (let i = 0; i < 20; i++) lines.push(await connect(t, server, `client ${i}`, options))
  const topic = server.topic('news')
  for (const { peer } of lines) topic.add(peer)
  const slow = lines.slice(0, 5)
  const fast = lines.slice(5)
  for (const { client } of slow) client.pause()
  const bytes = Buffer.alloc(1500)
  const all = []
  for (let number = 1; number <= 300; number++) {
    bytes.fill(number % 251)
    bytes.writeUInt32LE(number)
    topic.publish(bytes)
    all.push(number * 8)
    await until(() => fast.every(({ got }) => got.length === number))
  }
  t.true(topic.counters.skipped > 5)
  for (const { got } of fast) t.deepEqual(got, all)
  for (const { client } of slow) client.resume()
  const sent = slow.reduce((sum, { peer }) => sum + peer.counters.messagesSent, 0)
  t.is(sent, slow.length * 300 - topic.counters.skipped)
  await until(() => slow.reduce((sum, { got }) => sum + got.length, 0) === sent)
  for (const { got } of slow) {
    t.is(typeof got.find((one) => typeof one === 'string'), 'undefined')
    t.deepEqual(
      got,
      [...new Set(got)].sort((one, other) => one - other)
    )
  }
  // And they are among those that get it from the copy again.
  bytes.writeUInt32LE(1000)
  bytes.fill(1000 % 251, 4)
  t.is(topic.publish(bytes), 20)
  await until(() => lines.every(({ got }) => got.at(-1) === 8000))
})

test('whoever has a shorter longest message, or no channels, gets what it can take', async (t) => {
  const server = await startServer(t, { maxMessageLength: 65536 })
  const lines = []
  for (const maxMessageLength of [65536, 65536, 1024])
    lines.push(await connect(t, server, `${lines.length}`, { maxMessageLength }))
  lines.push(await connect(t, server, 'classic', { protocol: 'classic' }))
  const topic = server.topic('news')
  for (const { peer } of lines) topic.add(peer)
  const bytes = Buffer.alloc(2000)
  for (let round = 0; round < 3; round++) {
    t.is(topic.publish(bytes, 0, 1000), 4)
    await new Promise(setImmediate)
    t.is(topic.publish(bytes, 0, 2000), 3)
    await new Promise(setImmediate)
    t.is(topic.publish(bytes, 0, 1000, 3), 3)
    await new Promise(setImmediate)
  }
  await until(() => lines.reduce((sum, { got }) => sum + got.length, 0) === 30)
  t.deepEqual(
    lines.map(({ got }) => got.length),
    [9, 9, 6, 6]
  )
})

test('a topic that is published to in every turn does not hold up another one', async (t) => {
  const options = ownEngine({ maxMessageLength: 1024 })
  const server = await startServer(t, options)
  const busy = server.topic('busy')
  const quiet = server.topic('quiet')
  const lines = []
  for (let i = 0; i < 300; i++) lines.push(await connect(t, server, `client ${i}`, options))
  for (const { peer } of lines.slice(4)) busy.add(peer)
  for (const { peer } of lines.slice(0, 4)) quiet.add(peer)
  const bytes = Buffer.alloc(4)
  for (let turn = 0; turn < 20; turn++) {
    busy.publish(bytes)
    await new Promise(setImmediate)
  }
  t.is(quiet.publish(bytes), 4)
  let turns = 0
  for (; lines.slice(0, 4).some(({ got }) => got.length === 0) && turns < 500; turns++) {
    busy.publish(bytes)
    await new Promise(setImmediate)
  }
  t.true(turns < 500, `${turns} turns`)
})

test('publish ignores a length property that the program has put on the bytes', async (t) => {
  const server = await startServer(t, {})
  const lines = []
  for (let i = 0; i < 5; i++) lines.push(await connect(t, server, `${i}`, {}))
  const latest = server.topic('latest', { slow: 'latest', keysMax: 2, valueBytesMax: 300 })
  for (const { peer } of lines) latest.add(peer)
  const liar = new Uint8Array(200).fill(1)
  liar[0] = 1
  liar[1] = liar[2] = liar[3] = 0
  const nested = Buffer.alloc(4)
  Object.defineProperty(liar, 'length', {
    get() {
      server.broadcast(nested)
      return 60
    }
  })
  t.is(server.broadcast(liar), 5)
  t.is(server.broadcast(liar, 0, 60), 5)
  await new Promise(setImmediate)
  t.is(latest.set(1, liar), 5)
  // Each message arrives unchanged, the value behind its key. The getter was never called, so there are no other messages.
  await until(() => lines.every(({ got }) => got.length === 3))
  for (const { got } of lines) t.deepEqual(got, [8, 8, 8])
  t.is(server.peerCount, 5)
})

test('a topic holds memory for shared frames only while some of them are unsent', async (t) => {
  const server = await startServer(t, {})
  const lines = []
  for (let i = 0; i < 4; i++) lines.push(await connect(t, server, `${i}`, {}))
  const topics = Array.from({ length: 1000 }, (_, i) => server.topic(`topic ${i}`))
  for (const topic of topics) for (const { peer } of lines) topic.add(peer)
  const before = process.memoryUsage().arrayBuffers
  for (const topic of topics) {
    t.is(topic.publish(Buffer.alloc(4)), 4)
    await new Promise(setImmediate)
  }
  // All of them in one turn, too.
  for (const topic of topics) topic.publish(Buffer.alloc(4))
  await until(() => lines.every(({ got }) => got.length === 2000))
  t.true(process.memoryUsage().arrayBuffers - before < 20e6)
})

for (const length of [60_000, 300]) {
  test(`members over the limit of bytes are closed when messages of ${length} bytes are published in one turn`, async (t) => {
    const options = { socketSendBytes: 8192, socketReceiveBytes: 8192 }
    const server = await startServer(t, options)
    const lines = []
    for (let i = 0; i < 4; i++) lines.push(await connect(t, server, `${i}`, options))
    for (const { client } of lines) client.pause()
    const topic = server.topic('news', { slow: 'close', pendingBytesMax: 1000 })
    for (const { peer } of lines) topic.add(peer)
    // The first messages fill the buffers of the system, which may be longer than was asked for.
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < 1000 && topic.counters.closed < 4; i++) {
      topic.publish(bytes)
      for (const { peer } of lines) t.true(peer.pendingBytes <= 1000 || !peer.isOpen)
    }
    t.is(topic.counters.closed, 4)
  })
}

for (const [name, more] of [
  ['one copy', {}],
  ['their rings', { session: true }]
]) {
  test.serial(`from ${name}: an answer does not wait for what hundreds of others get`, async (t) => {
    const options = ownEngine({ maxMessageLength: 65536 })
    const server = await startServer(t, { ...options, sessions: true })
    const lines = []
    for (let i = 0; i < 300; i++) lines.push(await connect(t, server, `client ${i}`, { ...options, ...more }))
    const other = await connect(t, server, 'other', options)
    const topic = server.topic('news')
    for (const { peer } of lines) topic.add(peer)
    const { counters } = server.engine
    const bytes = Buffer.alloc(16_384)
    const before = counters.sends
    t.is(topic.publish(bytes), 300)
    await new Promise((resolve) => process.nextTick(resolve))
    // The end of the turn has sent a part of it.
    await null
    const first = counters.sends - before
    t.true(first < 300, `${first} sends`)
    bytes.writeUInt32LE(7)
    t.is(other.peer.send(bytes, 0, 4), SendStatus.Sent)
    other.peer.flush()
    t.is(other.peer.pendingBytes, 0)
    await until(() => lines.every(({ got }) => got.length === 1) && other.got.length === 1)
    t.deepEqual(other.got, [56])
  })
}

test('flush hands everything over, and so does polling with manual', async (t) => {
  const options = ownEngine({ maxMessageLength: 65536 })
  const server = await startServer(t, options)
  const lines = []
  for (let i = 0; i < 200; i++) lines.push(await connect(t, server, `client ${i}`, options))
  const before = server.engine.counters.sends
  t.is(server.broadcast(Buffer.alloc(16_384)), 200)
  server.flush()
  t.true(server.engine.counters.sends - before >= 200)
  await until(() => lines.every(({ got }) => got.length === 1))
})
