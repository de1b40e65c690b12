// Heartbeats: a server asks a silent native peer and then ends it; all other peers stay.

import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { ZerioClient } from 'zerio'
import { startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  controlFrame,
  dataFrame,
  farewell,
  framesOf,
  OPCODE,
  startRawServer,
  watch,
  welcome
} from '../helpers/wire_raw.mjs'

const isPing = (frame) => frame.control && frame.channel === OPCODE.ping && frame.payload.length === 8

test('a silent peer receives three PINGs and CLOSE 1019', async (t) => {
  const server = await startServer(t, { heartbeatMs: 30 })
  const seen = watch(server)
  const raw = await connectNative(t, server)
  const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
  t.is(frames.length, 4)
  t.true(frames.slice(0, 3).every(isPing))
  t.deepEqual(frames[3], framesOf(farewell(OPCODE.close, CODE.heartbeatTimeout))[0])
  await until(() => seen.disconnected.length === 1)
  t.like(seen.disconnected[0].reason, { code: 'ZERIO_HEARTBEAT_TIMEOUT', closeCode: 1019, local: false })
  t.is(server.counters.heartbeatTimeouts, 1)
  t.is(server.counters.protocolErrors, 0)
})

test('heartbeats that are due together leave a few per poll', async (t) => {
  const PEERS = 60
  const server = await startServer(t, { heartbeatMs: 500, waitStrategy: 'manual' })
  const polling = setInterval(() => server.poll(), 1)
  const raws = []
  for (let i = 0; i < PEERS; i++) raws.push(await connectNative(t, server, `silent ${i}`))
  clearInterval(polling)
  const { counters } = server.engine
  // In the first interval bytes came from all peers; at the end of the second all of them are late.
  await pause(600)
  for (let i = 0; i < 100; i++) server.poll()
  await pause(600)
  const before = counters.sends
  let sendsPerPollMax = 0
  let polls = 0
  for (; counters.sends < before + PEERS && polls < 1000; polls++) {
    const { sends } = counters
    server.poll()
    sendsPerPollMax = Math.max(sendsPerPollMax, counters.sends - sends)
  }
  t.true(sendsPerPollMax <= 4, `${sendsPerPollMax} in one poll`)
  // The next poll goes on at once, and not with the next tick of the clock.
  t.true(polls < 2 * PEERS, `${polls} polls`)
  for (const raw of raws) await raw.receives(raw.greetingBytes + 12)
})

test('a peer that answers PINGs stays, and so does one that only sends messages', async (t) => {
  // Windows' timers have steps of 16 ms.
  const server = await startServer(t, { heartbeatMs: 50 })
  const seen = watch(server)
  const answering = await connectNative(t, server, 'answering')
  let answered = 0
  const answer = () => {
    const frames = framesOf(answering.bytes.subarray(answering.greetingBytes))
    for (const frame of frames.slice(answered)) answering.write(controlFrame(OPCODE.pong, frame.payload))
    answered = frames.length
  }
  const talking = await connectNative(t, server, 'talking')
  await until(() => {
    answer()
    talking.write(dataFrame('still here'))
    return answered >= 15
  })
  t.is(seen.disconnected.length, 0)
  // None, but for a machine that did not let this process run for as long as a heartbeat.
  const asked = framesOf(talking.bytes.subarray(talking.greetingBytes))
  t.true(asked.length <= 3 && asked.every(isPing), `${asked.length} PINGs`)
  t.true(framesOf(answering.bytes.subarray(answering.greetingBytes)).every(isPing))
})

test('an idle client survives many intervals, whichever side sends PINGs', async (t) => {
  for (const [serverMs, clientMs] of [
    [10, 0],
    [0, 10],
    [10, 10]
  ]) {
    const server = await startServer(t, { heartbeatMs: serverMs })
    const client = await startClient(t, server, 'idle', { heartbeatMs: clientMs })
    const peer = await until(() => server.peer('idle'))
    const [asker, asked] = serverMs > 0 ? [peer, client] : [client, peer]
    const before = asker.counters.bytesReceived
    await until(() => asker.counters.bytesReceived - before >= 12 * 20)
    t.true(asked.counters.bytesSent >= 12 * 20)
    t.true(client.isConnected)
    t.true(peer.isOpen)
    t.is(peer.counters.messagesReceived, 0)
    await client.stop()
    await server.stop()
  }
})

test('a client disconnects from a silent server', async (t) => {
  const rawServer = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: rawServer.port }, { heartbeatMs: 20 })
  const reasons = []
  client.on('disconnected', (reason) => reasons.push(reason))
  const starting = client.start('client')
  const raw = await rawServer.next()
  raw.write(welcome())
  await starting
  await until(() => reasons.length === 1)
  t.is(reasons[0].code, 'ZERIO_HEARTBEAT_TIMEOUT')
  const frames = await raw.framesUntilEnd()
  t.true(frames.slice(1, 4).every(isPing))
  t.is(frames.length, 5)
  raw.socket.end()
})

test('a classic peer receives no PING', async (t) => {
  const server = await startServer(t, { heartbeatMs: 10 })
  const seen = watch(server)
  const classic = await connectRaw(t, server.listeningPort)
  classic.write(dataFrame('classic'))
  await classic.receives(11)
  // A native peer that the server ends meanwhile shows that the time has passed.
  await (await connectNative(t, server, 'native')).ends()
  await until(() => seen.disconnected.length === 1)
  t.is(seen.disconnected[0].id, 'native')
  t.deepEqual(classic.bytes, dataFrame('classic'))
  t.truthy(server.peer('classic'))
})

test('the server ends a peer that reads nothing although the PINGs cannot leave', async (t) => {
  const server = await startServer(t, { heartbeatMs: 20, lingerMs: 50 })
  const seen = watch(server)
  const raw = await connectNative(t, server)
  raw.socket.pause()
  const peer = await until(() => server.peer('raw'))
  while (peer.isOpen) {
    peer.send(Buffer.alloc(60_000))
    await new Promise(setImmediate)
  }
  t.is(seen.disconnected[0].reason.code, 'ZERIO_HEARTBEAT_TIMEOUT')
  await server.stop()
})
