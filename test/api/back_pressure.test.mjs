// A peer that does not read: refusals instead of memory, `drain`, and nothing lost, doubled or out of order.

import { once } from 'node:events'
import test from 'ava'
import { SendStatus } from 'zerio'
import { connectClassic, readFrames } from '../helpers/classic.mjs'
import { collect, ownEngine, pattern, startClient, startPair, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

// Small kernel buffers, so that little data makes a jam.
const small = { socketSendBytes: 16384, maxMessageLength: 8192, sendRingBytes: 65536 }

function numbered(index, length) {
  const bytes = pattern(length, index)
  bytes.writeUInt32LE(index, 0)
  return bytes
}

/** Sends numbered messages until the peer refuses and goes on refusing. Returns how many it took. */
async function fillUp(peer, first, lengthOf) {
  let index = first
  let refusals = 0
  // The kernel takes a little more while the other side's buffer fills, and may delay an acknowledgement by 40 ms.
  while (refusals < 60) {
    const status = peer.send(numbered(index, lengthOf(index)))
    if (status === SendStatus.Sent) {
      index++
      refusals = 0
    } else {
      refusals++
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    if (index - first > 1e5) throw new Error('the peer took everything')
  }
  return index - first
}

async function stall(t, server, id) {
  const socket = await connectClassic(t, server.listeningPort, id)
  const peer = await until(() => server.peer(id))
  return { socket, peer }
}

test('sends to a peer that does not read are refused, drain follows, and nothing is lost', async (t) => {
  const server = await startServer(t, small)
  const drained = []
  server.on('drain', (peer) => drained.push(peer))
  const { socket, peer } = await stall(t, server, 'stalled')
  const lengthOf = (index) => 4 + ((index * 997) % 8000)
  let sent = await fillUp(peer, 0, lengthOf)
  t.true(sent > 3)
  // While the kernel's buffers grew.
  drained.length = 0
  t.is(peer.send(numbered(sent, 8000)), SendStatus.BackPressured)
  t.is(peer.claim(8000), SendStatus.BackPressured)
  t.is(server.send('stalled', pattern(8000)), SendStatus.BackPressured)
  t.is(drained.length, 0)

  const before = peer.counters.backPressured
  for (let i = 0; i < 10; i++) t.is(peer.send(pattern(8000)), SendStatus.BackPressured)
  t.is(peer.counters.backPressured, before + 10)
  t.is(peer.counters.messagesSent, sent)
  t.true(server.engine.counters.sendsBlocked > 0)

  const received = []
  readFrames(socket, (payload) => received.push(Buffer.from(payload)))
  await until(() => drained.length > 0)
  t.is(drained[0], peer)
  // The refused message fits now.
  t.is(peer.send(numbered(sent, lengthOf(sent))), SendStatus.Sent)
  sent++
  for (; sent < 500; sent++) {
    while (peer.send(numbered(sent, lengthOf(sent))) === SendStatus.BackPressured) await once(server, 'drain')
  }
  await until(() => received.length === sent + 1)
  t.is(received[0].toString(), 'stalled')
  for (let i = 0; i < sent; i++) {
    if (!received[i + 1].equals(numbered(i, lengthOf(i)))) return t.fail(`message ${i} is not what was sent`)
  }
})

test('drain is emitted only after a refusal', async (t) => {
  const { server, client, peer } = await startPair(t)
  let drains = 0
  server.on('drain', () => drains++)
  client.on('drain', () => drains++)
  const got = collect(client)
  for (let i = 0; i < 200; i++) {
    peer.send(pattern(1000))
    client.send(pattern(1000))
    if (i % 10 === 0) await new Promise(setImmediate)
  }
  await until(() => got.length === 200)
  t.is(drains, 0)
})

test('a client emits drain too, and its handler may send at once', async (t) => {
  const { server, client } = await startPair(t, small)
  const got = []
  server.onMessage = (_peer, buffer, offset) => got.push(buffer.readUInt32LE(offset))
  let next = 0
  const total = 3000
  const pump = () => {
    while (next < total && client.send(numbered(next, 1000)) === SendStatus.Sent) next++
  }
  let drains = 0
  client.on('drain', () => {
    drains++
    pump()
  })
  pump()
  t.true(next < total)
  await until(() => got.length === total)
  t.true(drains > 0)
  t.deepEqual(
    got,
    got.map((_, index) => index)
  )
})

test('a stalled peer stops neither other peers nor broadcast, which counts the peers that took the message', async (t) => {
  const server = await startServer(t, small)
  const { peer: stalled } = await stall(t, server, 'stalled')
  const lively = await startClient(t, server, 'lively', { maxMessageLength: 8192 })
  const picky = await startClient(t, server, 'picky', { maxMessageLength: 100 })
  const atLively = collect(lively)
  const atPicky = collect(picky)
  await until(() => server.peerCount === 3)
  await fillUp(stalled, 0, () => 8000)
  t.is(server.broadcast(pattern(8000, 1)), 1)
  t.is(server.broadcast(pattern(8000, 1), 0, 8000), 1)
  let echoed = 0
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  for (let i = 0; i < 300; i++) {
    lively.send(numbered(i, 50))
    await until(() => atLively.length === 2 + i + 1)
    echoed++
  }
  t.is(echoed, 300)
  // A classic peer has no channels.
  t.is(server.broadcast(pattern(60), 3), 2)
  await until(() => atPicky.length === 1)
  t.is(atPicky[0].channel, 3)
  t.is(server.peerCount, 3)
})

test('a stalled peer whose connection breaks ends like any other', async (t) => {
  const server = await startServer(t, small)
  const { socket, peer } = await stall(t, server, 'stalled')
  await fillUp(peer, 0, () => 8000)
  const gone = once(server, 'clientDisconnected')
  socket.destroy()
  const [id] = await gone
  t.is(id, 'stalled')
  t.is(peer.send(pattern(10)), SendStatus.Closed)
  t.is(server.peerCount, 0)
})

test('a peer that has ended its stream and does not read causes no extra polls', async (t) => {
  const server = await startServer(t, { ...ownEngine({ waitStrategy: 'blocking' }), lingerMs: 20_000 })
  const socket = await connectClassic(t, server.listeningPort, 'mute')
  const peer = await until(() => server.peer('mute'))
  const message = Buffer.alloc(60_000)
  for (let refused = 0; refused < 5; ) {
    if (peer.send(message) === SendStatus.Sent) refused = 0
    else {
      refused++
      await new Promise(setImmediate)
    }
  }
  socket.end()
  await until(() => server.peerCount === 0)
  const { polls } = server.engine.counters
  const TICKS = 20
  for (let i = 0; i < TICKS; i++) await new Promise((resolve) => setTimeout(resolve, 10))
  // Only the timer of the linger time causes polls.
  t.true(server.engine.counters.polls - polls < TICKS * 20)
  socket.destroy()
})
