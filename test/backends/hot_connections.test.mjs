// While a program polls in a tight loop, the backend receives from its busiest connections directly, and they leave the epoll set. A
// program that stops polling, or polls seldom, must miss nothing.

import test from 'ava'
import { collect, ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import { connectNative, dataFrame } from '../helpers/wire_raw.mjs'

const BURST = 200
const text = (value) => Buffer.from(String(value))

/** Makes round trips in a tight loop, so that both connections are hot. The other side must echo. */
function heat(t, pollable, client, got) {
  for (let i = 0; i < BURST; i++) {
    const want = got.length + 1
    client.send(text(i))
    client.flush()
    for (let polls = 0; got.length < want; polls++) {
      pollable.poll()
      if (polls > 1e7) return t.fail('no answer came')
    }
  }
  t.pass()
}

function echo(server) {
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
}

for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'adaptive']) {
  test(`${waitStrategy}: the loop continues where the program's own polling ended`, async (t) => {
    const { server, client } = await startPair(t, ownEngine({ waitStrategy }))
    const got = collect(client)
    echo(server)
    for (let round = 0; round < 3; round++) {
      heat(t, client, client, got)
      const want = got.length + 10
      for (let i = 0; i < 10; i++) client.send(text(i))
      await until(() => got.length === want)
    }
  })
}

test('hybrid: the loop sleeps after spinning and wakes up again', async (t) => {
  const { server, client } = await startPair(t, ownEngine({ waitStrategy: 'hybrid', spinUs: 2000 }))
  const got = collect(client)
  echo(server)
  for (let round = 0; round < 3; round++) {
    const want = got.length + BURST
    client.onMessage = () => {
      if (got.length < want - 1) client.send(text(got.length))
    }
    client.send(text('first'))
    await until(() => got.length === want)
    client.onMessage = null
    const { polls } = client.engine.counters
    // Asleep: otherwise these counters run.
    let before = polls
    await until(() => {
      const now = client.engine.counters.polls
      const asleep = now - before < 10
      before = now
      return asleep
    })
    client.send(text('again'))
    await until(() => got.length === want + 1)
    t.is(got.at(-1).bytes.toString(), 'again')
  }
})

test('hybrid: the loop falls asleep with the events of a full batch left over', async (t) => {
  const spinUs = 10_000
  const server = await startServer(
    t,
    ownEngine({ waitStrategy: 'hybrid', spinUs, receiveArenaBytes: 16_384, heartbeatMs: 0 })
  )
  const hot = await connectNative(t, server, 'hot')
  const other = await connectNative(t, server, 'other')
  // Their probation is over.
  await new Promise((resolve) => setTimeout(resolve, 100))
  const frame = dataFrame(Buffer.alloc(100))
  const flood = Buffer.concat(Array(250).fill(frame))
  const work = (ms) => {
    for (const end = performance.now() + ms; performance.now() < end; );
  }
  for (let round = 0; round < 5; round++) {
    let ofHot = 0
    let ofOther = 0
    server.onMessage = (peer) => {
      if (peer.id === 'other') {
        ofOther++
        work(25)
      } else if (++ofHot < BURST) {
        hot.write(frame)
      } else if (ofHot === BURST) {
        // The next poll spins, fills its arena from this connection, and has no room left for the other one.
        hot.write(flood)
        other.write(frame)
        work(1)
      } else if (ofHot === BURST + 1) {
        work(25)
      }
    }
    hot.write(frame)
    await until(() => ofOther === 1 && ofHot === BURST + 250, 'all messages', 5000)
  }
  t.pass()
})

test('manual: a program that polls seldom misses nothing', async (t) => {
  const { server, client } = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  const got = collect(client)
  echo(server)
  heat(t, client, client, got)
  for (let i = 0; i < 20; i++) {
    client.send(text(i))
    client.flush()
    await new Promise((resolve) => setTimeout(resolve, 2))
    await pollUntil(client, () => got.length === BURST + i + 1)
  }
})

test('manual: a stop drives the connections that were hot', async (t) => {
  const { server, client, peer } = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  const got = collect(client)
  const reasons = []
  client.on('disconnected', (reason) => reasons.push(reason.code))
  echo(server)
  heat(t, client, client, got)
  peer.send(text('last words'))
  await server.stop()
  await until(() => reasons.length === 1)
  t.deepEqual(reasons, ['ZERIO_GOING_AWAY'])
  t.is(got.at(-1).bytes.toString(), 'last words')
})

test('manual: hot connections neither starve others nor each other', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const server = await startServer(t, options)
  echo(server)
  const clients = []
  for (let i = 0; i < 9; i++) clients.push(await startClient(t, server, `client-${i}`, options))
  const got = clients.map((client) => collect(client))
  for (const busy of [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]) {
    heat(t, server, clients[busy], got[busy])
    const want = got.map((messages) => messages.length + 1)
    for (const client of clients) client.send(text('all'))
    server.flush()
    await pollUntil(server, () => got.every((messages, i) => messages.length === want[i]))
  }
})

test('manual: a hot connection notices that the other side leaves or stops reading', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const server = await startServer(t, options)
  echo(server)
  const client = await startClient(t, server, 'client', options)
  const got = collect(client)
  const gone = []
  server.on('clientDisconnected', (id) => gone.push(id))
  heat(t, server, client, got)
  const peer = server.peer('client')
  // Without polls no side reads: the ring fills up, and empties again later.
  let sent = 0
  while (peer.send(Buffer.alloc(60_000)) === 0) sent++
  t.true(sent > 0)
  const want = got.length + sent
  await pollUntil(server, () => got.length === want)
  heat(t, server, client, got)
  const stopped = client.stop()
  await pollUntil(server, () => gone.length === 1)
  await stopped
  t.deepEqual(gone, ['client'])
})
