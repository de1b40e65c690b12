// Messages from 64 KiB on are sent from where they lie and received where they are assembled: none is changed, lost or overtaken, whatever
// the system takes of them at once.
import test from 'ava'
import { SendStatus } from 'zerio'
import { randomFrom, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const MIB = 1048576
/** Its backends read the memory later, so every message goes through the ring. */
const isWindows = process.platform === 'win32'
const LENGTHS = [1, 60_000, 65_535, 65_536, 65_537, 200_000, MIB, MIB + 4, 3 * MIB]

/** Bytes that differ from message to message, and within each. */
const message = (number, length) =>
  Buffer.alloc(
    length,
    Uint8Array.from({ length: 251 }, (_, i) => ((number * 7 + i) % 255) + 1)
  )

/** Sends all messages in order, waiting for drain where there is no room. */
async function sendAll(sender, messages, events) {
  for (const bytes of messages) {
    for (let status = sender.send(bytes); status !== SendStatus.Sent; status = sender.send(bytes)) {
      if (status !== SendStatus.BackPressured) throw new Error(`a message was refused: ${status}`)
      await new Promise((resolve) => events.once('drain', resolve))
    }
    // What was sent is copied: the program may change it.
    bytes.fill(0xee)
  }
}

const collect = (received) => (bytes, offset, length) => {
  received.push(Buffer.from(bytes.subarray(offset, offset + length)))
}

function check(t, received, lengths) {
  t.deepEqual(
    received.map((bytes) => bytes.length),
    lengths
  )
  const wrong = received.findIndex((bytes, i) => !bytes.equals(message(i, bytes.length)))
  t.is(wrong, -1, `message ${wrong} has other bytes`)
}

for (const session of [false, true]) {
  test(`both directions, each length beside short ones${session ? ', in a session' : ''}`, async (t) => {
    const options = { maxMessageLength: 4 * MIB }
    const server = await startServer(t, { ...options, sessions: session })
    const fromClient = []
    server.onMessage = (_peer, ...rest) => collect(fromClient)(...rest)
    const client = await startClient(t, server, 'long', { ...options, session })
    const fromServer = []
    client.onMessage = collect(fromServer)
    const random = randomFrom(1)
    const lengths = Array.from({ length: 60 }, () => LENGTHS[random(LENGTHS.length)])
    const messages = () => lengths.map((length, i) => message(i, length))
    const peer = server.peer('long')
    await Promise.all([sendAll(client, messages(), client), sendAll(peer, messages(), server)])
    await until(() => fromClient.length === lengths.length && fromServer.length === lengths.length)
    check(t, fromClient, lengths)
    check(t, fromServer, lengths)
  })
}

test('a part of an array, on a channel, from the memory of the pool itself', async (t) => {
  const options = { maxMessageLength: MIB }
  const server = await startServer(t, options)
  const channels = []
  server.onMessage = (peer, buffer, offset, length, channel) => {
    channels.push(channel)
    peer.send(buffer, offset, length, channel)
  }
  const client = await startClient(t, server, 'parts', options)
  const received = []
  client.onMessage = collect(received)
  const lengths = [100_000, 70_000, MIB, 65_536]
  for (const [i, length] of lengths.entries()) {
    const bytes = Buffer.concat([Buffer.alloc(7, 1), message(i, length), Buffer.alloc(9, 2)])
    t.is(client.send(bytes, 7, length, 5), SendStatus.Sent)
    await until(() => received.length === i + 1)
  }
  check(t, received, lengths)
  t.deepEqual(channels, [5, 5, 5, 5])
})

test('a peer that reads slowly gets all of it, and what was sent meanwhile behind it', async (t) => {
  const options = { maxMessageLength: 2 * MIB, socketSendBytes: 32_768, socketReceiveBytes: 32_768 }
  const server = await startServer(t, options)
  const client = await startClient(t, server, 'slow', options)
  const received = []
  client.onMessage = collect(received)
  const peer = server.peer('slow')
  client.pause()
  t.is(peer.send(message(0, MIB)), SendStatus.Sent)
  // The system has taken a part of it; the rest waits in the ring.
  t.true(peer.pendingBytes > 0 && (peer.pendingBytes < MIB || isWindows), `${peer.pendingBytes} bytes wait`)
  t.is(peer.send(message(1, 10)), SendStatus.Sent)
  t.is(peer.send(message(2, 100_000)), SendStatus.Sent)
  client.resume()
  await until(() => received.length === 3)
  check(t, received, [MIB, 10, 100_000])
  t.is(peer.pendingBytes, 0)
  t.is(peer.counters.messagesSent, 3)
})

test('what is written first leaves first, and a claim keeps a long message back', async (t) => {
  const options = { maxMessageLength: MIB }
  const server = await startServer(t, options)
  const received = []
  server.onMessage = (_peer, ...rest) => collect(received)(...rest)
  const client = await startClient(t, server, 'order', options)
  t.is(client.send(message(0, 20)), SendStatus.Sent)
  t.is(client.send(message(1, 300_000)), SendStatus.Sent)
  const at = client.claim(30)
  t.throws(() => client.send(message(2, 300_000)), { code: 'ZERIO_CLAIM_OPEN' })
  message(2, 30).copy(client.buffer, at)
  client.commit()
  t.is(client.send(message(3, 70_000)), SendStatus.Sent)
  await until(() => received.length === 4)
  check(t, received, [20, 300_000, 30, 70_000])
})

test('several long messages of a turn are each handed over at once, and do not keep their peer out of a topic', async (t) => {
  const options = { maxMessageLength: MIB }
  const server = await startServer(t, options)
  const client = await startClient(t, server, 'many', options)
  const received = []
  client.onMessage = collect(received)
  const peer = server.peer('many')
  const topic = server.topic('all')
  topic.add(peer)
  // A quiet connection's ring begins in front of its main part.
  t.is(peer.send(message(0, 10)), SendStatus.Sent)
  await until(() => received.length === 1)
  for (let i = 1; i <= 3; i++) t.is(peer.send(message(i, 70_000)), SendStatus.Sent)
  t.true(peer.pendingBytes < 70_000 * 3 || isWindows, `${peer.pendingBytes} bytes wait`)
  await until(() => received.length === 4)
  t.is(topic.publish(message(4, 30)), 1)
  t.is(peer.send(message(5, 100_000)), SendStatus.Sent)
  await until(() => received.length === 6)
  check(t, received, [10, 70_000, 70_000, 70_000, 30, 100_000])
})

test('a long message to a peer that has left is like every other', async (t) => {
  const options = { maxMessageLength: MIB }
  const server = await startServer(t, options)
  const client = await startClient(t, server, 'gone', options)
  const peer = server.peer('gone')
  const left = new Promise((resolve) => server.once('clientDisconnected', resolve))
  client.terminate()
  const statuses = []
  for (let i = 0; i < 20 && peer.isOpen; i++) {
    statuses.push(peer.send(message(0, MIB)))
    await new Promise(setImmediate)
  }
  await left
  t.true(
    statuses.every((status) =>
      [SendStatus.Sent, SendStatus.BackPressured, SendStatus.Closed].includes(status)
    )
  )
  t.is(peer.send(message(0, MIB)), SendStatus.Closed)
})
