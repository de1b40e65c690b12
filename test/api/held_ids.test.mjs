// Ids that a dead or hung peer holds become free again: a newcomer with such an id makes the server ask its holder.

import test from 'ava'
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
  hello,
  OPCODE,
  watch
} from '../helpers/wire_raw.mjs'

const refusal = farewell(OPCODE.reject, CODE.duplicatePeerId)

/** Tries to become a peer with an id that another one has. */
async function refused(t, server, id) {
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ id }))
  t.deepEqual(await raw.ends(), refusal)
  raw.socket.end()
}

test('a silent peer loses its id after one question', async (t) => {
  const server = await startServer(t, { handshakeTimeoutMs: 100 })
  const seen = watch(server)
  const holder = await connectNative(t, server, 'id')
  await refused(t, server, 'id')
  await refused(t, server, 'id')
  const frames = framesOf((await holder.ends()).subarray(holder.greetingBytes))
  // One question, however many ask.
  t.is(frames.length, 2)
  t.like(frames[0], { control: true, channel: OPCODE.ping })
  t.is(frames[0].payload.length, 8)
  t.deepEqual(frames[1], framesOf(farewell(OPCODE.close, CODE.heartbeatTimeout))[0])
  await until(() => seen.disconnected.length === 1)
  t.like(seen.disconnected[0], { id: 'id', reason: { code: 'ZERIO_HEARTBEAT_TIMEOUT' } })
  t.is(server.counters.heartbeatTimeouts, 1)
  t.is(server.counters.duplicateIds, 2)
  await connectNative(t, server, 'id')
})

test('a peer that answers the question keeps its id, and so does one that sends anything', async (t) => {
  const server = await startServer(t, { handshakeTimeoutMs: 100 })
  const seen = watch(server)
  const client = await startClient(t, server, 'client')
  const talker = await connectNative(t, server, 'talker')
  const answerer = await connectNative(t, server, 'answerer')
  for (const id of ['client', 'talker', 'answerer']) await refused(t, server, id)
  talker.write(dataFrame('still here'))
  const [ping] = framesOf(
    (await answerer.receives(answerer.greetingBytes + 12)).subarray(answerer.greetingBytes)
  )
  answerer.write(controlFrame(OPCODE.pong, ping.payload))
  // Another peer, asked later and silent, shows that the time has passed.
  const silent = await connectNative(t, server, 'silent')
  await refused(t, server, 'silent')
  await silent.ends()
  await until(() => seen.disconnected.length === 1)
  t.is(seen.disconnected[0].id, 'silent')
  t.true(client.isConnected)
  // The next newcomer makes the server ask again.
  await refused(t, server, 'answerer')
  await answerer.receives(answerer.greetingBytes + 2 * 12)
})

test('a classic peer is not asked and keeps its id', async (t) => {
  const server = await startServer(t, { handshakeTimeoutMs: 50 })
  const classic = await connectRaw(t, server.listeningPort)
  classic.write(dataFrame('classic'))
  await classic.receives(11)
  await refused(t, server, 'classic')
  const silent = await connectNative(t, server, 'silent')
  await refused(t, server, 'silent')
  await silent.ends()
  t.deepEqual(classic.bytes, dataFrame('classic'))
  t.truthy(server.peer('classic'))
})
