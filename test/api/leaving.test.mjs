// Many peers leave at once. The engine ends a few of them in each poll; no message, reason or place is lost for that.

import { once } from 'node:events'
import test from 'ava'
import { alwaysThere } from '../helpers/backend.mjs'
import { ownEngine, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import { CODE, connectNative, connectRaw, dataFrame, farewell, hello, OPCODE } from '../helpers/wire_raw.mjs'

/** More than all ends that a busy machine's first polls carry out. */
const PEERS = 400
const idOf = (i) => `peer ${i}`

/** A server and its peers; `heard` has what the server hears of each, in the order in which it does. */
async function crowd(t, options, count = PEERS) {
  const heard = new Map()
  const hear = (id, what) => heard.set(id, [...(heard.get(id) ?? []), what])
  const server = await startServer(t, options, (server) => {
    server.onMessage = (peer, buffer, offset, length) =>
      hear(peer.id, buffer.toString('latin1', offset, offset + length))
    server.on('clientDisconnected', (id, { code }) => hear(id, code))
  })
  const polling = options?.waitStrategy === 'manual' ? setInterval(() => server.poll(), 1) : undefined
  const raws = []
  for (let i = 0; i < count; i++) raws.push(await connectNative(t, server, idOf(i)))
  await until(() => server.peerCount === count)
  clearInterval(polling)
  return { server, raws, heard }
}

/** They leave while the server does not poll; its first polls hear of all, and end some. */
async function allLeave({ server, raws }, leave = (socket) => socket.destroy()) {
  const closed = raws.map(({ socket }) => once(socket, 'close'))
  for (const { socket } of raws) leave(socket)
  await Promise.all(closed)
  for (let i = 0; i < 4; i++) server.poll()
}

test('each has its last message, and its own reason', async (t) => {
  const { server, raws, heard } = await crowd(t)
  const ways = [
    ['ZERIO_PEER_LEFT', (raw) => raw.socket.end()],
    ['ECONNRESET', (raw) => raw.socket.resetAndDestroy()],
    ['ZERIO_NORMAL', (raw) => raw.write(farewell(OPCODE.close, CODE.normal))],
    ['ZERIO_NORMAL', (raw) => raw.write(farewell(OPCODE.close, CODE.normal, 'a text'))]
  ]
  for (const [i, raw] of raws.entries()) {
    const [reason, leave] = ways[i % ways.length]
    if (reason !== 'ECONNRESET' && i % 3 === 0) raw.write(dataFrame(`last of ${i}`))
    leave(raw)
  }
  await until(() => server.peerCount === 0)
  for (const i of raws.keys()) {
    const [reason] = ways[i % ways.length]
    const last = reason !== 'ECONNRESET' && i % 3 === 0 ? [`last of ${i}`] : []
    t.deepEqual(heard.get(idOf(i)), [...last, reason])
  }
  t.is(server.counters.disconnected, PEERS)
})

test('an end of this side that waits, too, changes no reason', async (t) => {
  const { server, raws, heard } = await crowd(t, { allowHalfOpen: true, waitStrategy: 'manual' })
  for (const i of raws.keys()) server.peer(idOf(i)).end()
  await allLeave({ server, raws }, (socket) => socket.resetAndDestroy())
  await pollUntil(server, () => server.peerCount === 0)
  t.deepEqual([...new Set([...heard.values()].flat())], ['ECONNRESET'])
})

test('what is sent to those that have left changes no reason', async (t) => {
  // The first polls hear of all. With io_uring what is sent may find some of them reset before.
  const all = await crowd(t, ownEngine({ waitStrategy: 'manual', lingerMs: 0, backend: alwaysThere }))
  await allLeave(all)
  const { server, heard } = all
  t.true(server.peerCount > 0)
  const message = Buffer.alloc(1000)
  await pollUntil(server, () => {
    server.broadcast(message)
    server.flush()
    return server.peerCount === 0
  })
  t.deepEqual(new Set([...heard.values()].flat()), new Set(['ZERIO_PEER_LEFT']))
})

for (const [what, options, newIdOf] of [
  ['its id', {}, idOf],
  ['its place', { maxPeers: PEERS }, (i) => `successor ${i}`]
]) {
  test(`a successor gets ${what} before the turn of each one that has left`, async (t) => {
    const all = await crowd(t, ownEngine({ waitStrategy: 'manual', ...options }))
    await allLeave(all)
    const { server } = all
    t.true(server.peerCount > 0)
    const successors = await Promise.all(all.raws.map(() => connectRaw(t, server.listeningPort)))
    for (const [i, raw] of successors.entries()) raw.write(hello({ id: newIdOf(i) }))
    await pollUntil(server, () => server.counters.connected === 2 * PEERS || server.counters.refused > 0)
    t.is(server.counters.refused, 0)
    t.is(server.peerCount, PEERS)
    t.is(server.counters.disconnected, PEERS)
  })
}

test("a successor gets its place also behind another server's peers that have left", async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const many = await crowd(t, options, 100)
  const few = await crowd(t, { ...options, maxPeers: 3 }, 3)
  await allLeave({ server: many.server, raws: [...many.raws, ...few.raws] })
  const successors = await Promise.all([1, 2, 3].map(() => connectRaw(t, few.server.listeningPort)))
  for (const [i, raw] of successors.entries()) raw.write(hello({ id: `successor ${i}` }))
  const { counters } = few.server
  await pollUntil(few.server, () => counters.connected === 6 || counters.refused > 0)
  t.is(counters.refused, 0)
})

function each(server, end) {
  for (const peer of server.peers) end(peer)
}

for (const [what, end] of [
  ['closed', (server) => each(server, (peer) => peer.close())],
  ['terminated', (server) => each(server, (peer) => peer.terminate())],
  ['stopped', (server) => server.stop()]
]) {
  test(`those that have left and are ${what} meanwhile end once`, async (t) => {
    const all = await crowd(t, ownEngine({ waitStrategy: 'manual' }))
    await allLeave(all)
    const { server, heard } = all
    t.true(server.peerCount > 0)
    end(server)
    await pollUntil(server, () => heard.size === PEERS)
    for (const reasons of heard.values()) t.is(reasons.length, 1)
  })
}
