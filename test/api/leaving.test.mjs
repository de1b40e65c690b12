// Many peers leave at once. The engine ends a few of them in each poll; no message, reason or place is lost for that.

import { once } from 'node:events'
import test from 'ava'
import { ownEngine, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import { connectNative, connectRaw, dataFrame, hello } from '../helpers/wire_raw.mjs'

const PEERS = 120
const idOf = (i) => `peer ${i}`
const everyone = Array.from({ length: PEERS }, (_, i) => i)

/** Connects `PEERS` peers, and notes what the server hears of each in the order in which it does. */
async function crowd(t, options) {
  const heard = new Map(everyone.map((i) => [idOf(i), []]))
  const server = await startServer(t, options, (server) => {
    server.onMessage = (peer, buffer, offset, length) =>
      heard.get(peer.id).push(buffer.toString('latin1', offset, offset + length))
    server.on('clientDisconnected', (id, { code }) => heard.get(id).push(code))
  })
  const raws = []
  const polling = options?.waitStrategy === 'manual' ? setInterval(() => server.poll(), 1) : undefined
  for (const i of everyone) raws.push(await connectNative(t, server, idOf(i)))
  clearInterval(polling)
  return { server, raws, heard }
}

test('each has its last message, and its own reason', async (t) => {
  const { server, raws, heard } = await crowd(t)
  const isReset = (i) => i % 3 === 2
  for (const i of everyone) {
    if (i % 3 === 0) raws[i].write(dataFrame(`last of ${i}`))
    if (isReset(i)) raws[i].socket.resetAndDestroy()
    else raws[i].socket.end()
  }
  await until(() => server.peerCount === 0)
  await until(() => everyone.every((i) => heard.get(idOf(i)).length > 0))
  const reasonOf = (i) => (isReset(i) ? 'ECONNRESET' : 'ZERIO_PEER_LEFT')
  for (const i of everyone)
    t.deepEqual(heard.get(idOf(i)), [...(i % 3 === 0 ? [`last of ${i}`] : []), reasonOf(i)])
  t.is(server.counters.disconnected, PEERS)
})

for (const [what, options, newIdOf] of [
  ['its id', {}, idOf],
  ['its place', { maxPeers: PEERS }, (i) => `successor ${i}`]
]) {
  test(`a successor gets ${what} before the turn of each one that has left`, async (t) => {
    const { server, raws, heard } = await crowd(t, ownEngine({ waitStrategy: 'manual', ...options }))
    const ended = raws.map(({ socket }) => once(socket, 'close'))
    for (const { socket } of raws) socket.destroy()
    await Promise.all(ended)
    // It hears of all of them, and ends some.
    for (let i = 0; i < 4; i++) server.poll()
    t.true(server.peerCount > PEERS / 2)
    for (const i of everyone) heard.set(newIdOf(i), heard.get(newIdOf(i)) ?? [])
    const successors = await Promise.all(everyone.map(() => connectRaw(t, server.listeningPort)))
    for (const i of everyone) successors[i].write(hello({ id: newIdOf(i) }))
    await pollUntil(server, () => server.counters.connected === 2 * PEERS || server.counters.refused > 0)
    t.is(server.counters.refused, 0)
    t.is(server.peerCount, PEERS)
    t.is(server.counters.disconnected, PEERS)
  })
}
