// What a program can read of a connection: readStatus, inspectText, and the round trip of heartbeats.
import { createRequire } from 'node:module'
import test from 'ava'
import { readClock, StatusField } from 'zerio'
import {
  collect,
  fillRing,
  makeClient,
  ownEngine,
  startClient,
  startPair,
  startServer
} from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { connectNative, connectRaw, dataFrame } from '../helpers/wire_raw.mjs'

const { native } = createRequire(import.meta.url)('../../dist/engine/native.js')
const {
  Connection,
  AtNs,
  PingUs,
  MessagesIn,
  MessagesOut,
  BytesIn,
  BytesOut,
  MessagesInPerSecond,
  MessagesOutPerSecond,
  BytesInPerSecond,
  BytesOutPerSecond,
  PendingBytes,
  UnacknowledgedBytes,
  KernelRttUs,
  Retransmits,
  RetransmittedBytes,
  CongestionWindowBytes,
  Count
} = StatusField

const ofSystem = Object.values(StatusField).filter((field) => field >= UnacknowledgedBytes && field < Count)
const rates = [
  [MessagesInPerSecond, MessagesIn],
  [MessagesOutPerSecond, MessagesOut],
  [BytesInPerSecond, BytesIn],
  [BytesOutPerSecond, BytesOut]
]
const newArray = () => new Float64Array(Count)
/** These know all fields; in other systems, and in a kqueue made of epoll, some are unknown. */
const knowsAll = ({ engine }) => engine.backend === 'epoll' || engine.backend === 'io_uring'

test('totals are those of the counters, and rates are means since the last reading into the same array', async (t) => {
  const { server, client, peer } = await startPair(t, ownEngine({}))
  const got = collect(server)
  const status = newArray()
  t.is(client.readStatus(status), status)
  for (const [rate] of rates) t.is(status[rate], Number.NaN)
  const other = newArray()
  for (let round = 1; round <= 3; round++) {
    for (let i = 0; i < 10; i++) client.send(Buffer.alloc(100))
    await until(() => got.length === 10 * round)
    const before = status.slice()
    client.readStatus(status)
    client.readStatus(other)
    const seconds = (status[AtNs] - before[AtNs]) / 1e9
    t.true(seconds > 0)
    for (const [rate, total] of rates) t.is(status[rate], (status[total] - before[total]) / seconds)
    t.true(status[MessagesOutPerSecond] > 0 && status[BytesOutPerSecond] > 100 * status[MessagesOutPerSecond])
    t.is(status[MessagesInPerSecond], 0)
  }
  t.true(other[AtNs] >= status[AtNs])
  const { messagesSent, messagesReceived, bytesSent, bytesReceived } = client.counters
  t.deepEqual(
    [MessagesOut, MessagesIn, BytesOut, BytesIn].map((field) => status[field]),
    [messagesSent, messagesReceived, bytesSent, bytesReceived]
  )
  t.is(peer.readStatus(newArray())[MessagesIn], 30)
})

test('the time is that of readClock, and an array that is too long keeps its rest', async (t) => {
  const { client } = await startPair(t)
  const clock = new Float64Array(2)
  const status = new Float64Array(Count + 1).fill(7)
  readClock(clock, 0)
  client.readStatus(status)
  readClock(clock, 1)
  t.true(clock[0] <= status[AtNs] && status[AtNs] <= clock[1])
  t.is(status[Count], 7)
})

test('a reading of another connection begins anew', async (t) => {
  const { server, client, peer } = await startPair(t)
  const status = newArray()
  client.readStatus(status)
  const first = status[Connection]
  peer.readStatus(status)
  t.not(status[Connection], first)
  for (const [rate] of rates) t.is(status[rate], Number.NaN)
  client.readStatus(status)
  t.is(status[Connection], first)
  // The slot begins another life.
  await client.stop()
  await until(() => server.peerCount === 0)
  await client.start('client')
  client.readStatus(status)
  t.not(status[Connection], first)
  for (const [rate] of rates) t.is(status[rate], Number.NaN)
})

test('what the system knows', async (t) => {
  const { server, client, peer } = await startPair(t)
  const got = collect(server)
  client.send(Buffer.alloc(1000))
  await until(() => got.length === 1)
  const status = client.readStatus(newArray())
  if (!knowsAll(client)) {
    for (const field of ofSystem) t.true(Number.isNaN(status[field]) || status[field] >= 0)
    return
  }
  t.true(status[KernelRttUs] > 0 && status[CongestionWindowBytes] > 1000)
  t.true(status[Retransmits] >= 0 && status[RetransmittedBytes] >= 0)
  await until(() => peer.readStatus(status)[UnacknowledgedBytes] === 0)
})

test('what waits: in the ring, and in the system', async (t) => {
  const server = await startServer(t)
  const raw = await connectNative(t, server)
  raw.socket.pause()
  const peer = await until(() => server.peer('raw'))
  await fillRing(peer)
  const status = peer.readStatus(newArray())
  t.is(status[PendingBytes], peer.pendingBytes)
  if (knowsAll(server)) t.true(status[UnacknowledgedBytes] > 0)
  t.regex(peer.inspectText(), /^ {2}waiting: [\d,]+ B, unacknowledged /m)
  peer.terminate()
})

test('the names are those that native code has', (t) => {
  const places = Object.entries(native.layout).filter(([name]) => name.startsWith('StatusField.'))
  t.deepEqual(Object.fromEntries(places.map(([name, at]) => [name.slice(12), at])), { ...StatusField })
})

test('before the first connection and after the end of one', async (t) => {
  const server = await startServer(t)
  const client = makeClient(t, server)
  const status = client.readStatus(newArray())
  t.is(status[MessagesOut], 0)
  for (const field of ofSystem) t.is(status[field], Number.NaN)
  t.is(client.rttUs, Number.NaN)
  t.regex(client.inspectText(), /^Client: idle, native, \? to \?\n/)

  await client.start('one')
  const peer = await until(() => server.peer('one'))
  client.send(Buffer.alloc(10))
  await client.stop()
  await until(() => peer.state === 'closed')
  // The slots begin other lives, and their engine goes on.
  await startClient(t, server, 'two')
  client.readStatus(status)
  t.is(status[MessagesOut], 1)
  for (const field of ofSystem) t.is(status[field], Number.NaN)
  peer.readStatus(status)
  t.is(status[MessagesIn], 1)
  for (const field of ofSystem) t.is(status[field], Number.NaN)
  t.regex(peer.inspectText(), /^Peer one: closed, native, .*\n {2}in: 1 messages, /)
  t.regex(client.inspectText(), /^Client one: idle, native, /)

  await server.stop()
  t.is(client.readStatus(status)[MessagesOut], 1)
})

test('a name stands in front of the id, and leads back to it', async (t) => {
  const { client, peer, server } = await startPair(t)
  t.is(client.name, 'client')
  t.is(peer.name, 'client')
  peer.name = 'risk\n\u202edesk'
  client.name = 'x'.repeat(256)
  t.is(peer.name, 'risk\n\u202edesk')
  t.regex(peer.inspectText(), /^Peer risk desk \(client\): open, native, /)
  t.regex(client.inspectText(), /^Client x{256} \(client\): connected, /)
  for (const one of [client, peer]) {
    const before = one.name
    for (const wrong of ['', 'x'.repeat(257), null, 1, {}])
      t.throws(() => (one.name = wrong), { code: 'ZERIO_BAD_ARGUMENT', message: /1 to 256 characters/ })
    t.is(one.name, before)
    one.name = undefined
    t.is(one.name, 'client')
  }
  t.regex(peer.inspectText(), /^Peer client: open, /)

  const idle = makeClient(t, server)
  t.is(idle.name, '')
  idle.name = 'later'
  t.regex(idle.inspectText(), /^Client later \(no id\): idle, /)
  await idle.start('other')
  t.is(idle.name, 'later')
  t.regex(idle.inspectText(), /^Client later \(other\): connected, /)
})

test('arrays that are none, or too short, are refused', async (t) => {
  const { client, peer } = await startPair(t)
  for (const target of [undefined, null, [], new Float32Array(64), new Float64Array(Count - 1)]) {
    t.throws(() => peer.readStatus(target), { code: 'ZERIO_BAD_ARGUMENT', message: /at least 19 elements/ })
    t.throws(() => client.readStatus(target), { code: 'ZERIO_BAD_ARGUMENT' })
  }
})

test('heartbeats measure the round trip, on the side that asks', async (t) => {
  const server = await startServer(t, { heartbeatMs: 10 })
  const client = await startClient(t, server, 'idle')
  const peer = await until(() => server.peer('idle'))
  await until(() => peer.rttUs > 0)
  const status = peer.readStatus(newArray())
  t.true(status[PingUs] > 0 && status[PingUs] < 1e6)
  t.is(client.rttUs, Number.NaN)
  t.is(client.readStatus(newArray())[PingUs], Number.NaN)
  await client.stop()
  await until(() => peer.state === 'closed')
  t.true(peer.rttUs > 0)
})

test('a classic peer has no round trip', async (t) => {
  const server = await startServer(t, { heartbeatMs: 10 })
  const classic = await connectRaw(t, server.listeningPort)
  classic.write(dataFrame('classic'))
  const peer = await until(() => server.peer('classic'))
  t.is(peer.rttUs, Number.NaN)
  t.is(peer.readStatus(newArray())[PingUs], Number.NaN)
  t.regex(peer.inspectText(), /^Peer classic: open, classic, .*\n[\s\S]*round trip: PING unknown, /)
})
