// The event `idle`: before a silent connection ends, the program hears of it and may give it more time.

import test from 'ava'
import { ownEngine, startClient, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  dataFrame,
  farewell,
  framesOf,
  OPCODE,
  watch
} from '../helpers/wire_raw.mjs'

/** What a server emits for its silent peer, in order. */
function idles(server, onIdle = () => {}) {
  const events = []
  server.on('idle', (peer) => {
    events.push(`idle ${peer.id} ${peer.state}`)
    onIdle(peer, events.length)
  })
  server.on('clientDisconnected', (id, { code }) => events.push(`${id} ${code}`))
  return events
}

test('idle comes once, before the end', async (t) => {
  const server = await startServer(t, { idleTimeoutMs: 20 })
  const events = idles(server)
  const raw = await connectNative(t, server, 'silent')
  const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
  t.deepEqual(frames, framesOf(farewell(OPCODE.close, CODE.idleTimeout)))
  await until(() => events.length === 2)
  t.deepEqual(events, ['idle silent open', 'silent ZERIO_IDLE_TIMEOUT'])
  t.is(server.counters.idleTimeouts, 1)
})

test('a handler that sets another limit keeps the connection, as often as it does', async (t) => {
  const server = await startServer(t, { idleTimeoutMs: 20 })
  const events = idles(server, (peer, times) => {
    if (times < 3) peer.setIdleTimeout(15)
  })
  const raw = await connectNative(t, server, 'silent')
  await raw.ends()
  await until(() => events.length === 4)
  t.deepEqual(events.slice(2), ['idle silent open', 'silent ZERIO_IDLE_TIMEOUT'])
  t.is(server.counters.idleTimeouts, 1)
})

test('a handler that turns the limit off keeps the connection for good, and messages flow', async (t) => {
  const server = await startServer(t, { idleTimeoutMs: 20 })
  const events = idles(server, (peer) => peer.configure({ idleTimeoutMs: 0 }))
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(dataFrame('classic'))
  await until(() => events.length === 1)
  const other = await startServer(t, { idleTimeoutMs: 60 })
  await (await connectNative(t, other)).ends()
  raw.write(dataFrame('echo'))
  await raw.receives(4 + 'classic'.length + 4 + 'echo'.length)
  t.deepEqual(events, ['idle classic open'])
})

test('a handler that pauses the connection keeps it until it goes on', async (t) => {
  const server = await startServer(t, { idleTimeoutMs: 20 })
  const events = idles(server, (peer, times) => times === 1 && peer.pause())
  const raw = await connectNative(t, server, 'silent')
  await until(() => events.length === 1)
  const other = await startServer(t, { idleTimeoutMs: 60 })
  await (await connectNative(t, other)).ends()
  t.deepEqual(events, ['idle silent open'])
  server.peer('silent').resume()
  await raw.ends()
  await until(() => events.length === 3)
  t.deepEqual(events.slice(1), ['idle silent open', 'silent ZERIO_IDLE_TIMEOUT'])
})

test('sending in a handler does not keep the connection, and is sent before the end', async (t) => {
  const server = await startServer(t, { idleTimeoutMs: 20 })
  const events = idles(server, (peer) => peer.send(Buffer.from('are you there?')))
  const raw = await connectNative(t, server, 'silent')
  const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
  t.deepEqual(
    frames.map(({ control }) => control),
    [false, true]
  )
  await until(() => events.length === 2)
  t.is(events[1], 'silent ZERIO_IDLE_TIMEOUT')
})

test('a handler that closes, terminates or throws ends the connection its own way', async (t) => {
  const server = await startServer(t, ownEngine({ idleTimeoutMs: 20, waitStrategy: 'manual' }))
  const actions = {
    closes: (peer) => peer.close(4001),
    terminates: (peer) => peer.terminate(),
    throws: () => {
      throw new Error('of a handler')
    }
  }
  const events = idles(server, (peer) => actions[peer.id](peer))
  const ids = Object.keys(actions)
  const raws = ids.map((id) => connectNative(t, server, id))
  let thrown = 0
  const isDone = () => {
    try {
      server.poll()
    } catch {
      thrown++
    }
    return events.length === 6
  }
  await Promise.all([...raws, until(isDone)])
  t.is(thrown, 1)
  const ends = events.filter((event) => !event.startsWith('idle')).sort()
  t.deepEqual(ends, ['closes ZERIO_APPLICATION', 'terminates ZERIO_ABORTED', 'throws ZERIO_IDLE_TIMEOUT'])
  t.is(server.counters.idleTimeouts, 1)
})

test('a client, too', async (t) => {
  const server = await startServer(t)
  const events = []
  const client = await startClient(t, server, 'client', { idleTimeoutMs: 20 }, (made) => {
    made.on('idle', () => {
      events.push('idle')
      if (events.length === 1) made.setIdleTimeout(10)
    })
    made.on('disconnected', ({ code }) => events.push(code))
  })
  await until(() => events.length === 3)
  t.deepEqual(events, ['idle', 'idle', 'ZERIO_IDLE_TIMEOUT'])
  t.false(client.isConnected)
})

test('many that are idle at once each get their event, with poll', async (t) => {
  const PEERS = 40
  const server = await startServer(t, ownEngine({ idleTimeoutMs: 100, waitStrategy: 'manual' }))
  const seen = watch(server)
  let kept = 0
  server.on('idle', (peer) => {
    if (++kept > PEERS / 2) return
    peer.setIdleTimeout(0)
  })
  const raws = []
  for (let i = 0; i < PEERS; i++) raws.push(connectNative(t, server, `silent ${i}`))
  await pollUntil(server, () => kept === PEERS && seen.disconnected.length === PEERS / 2)
  await Promise.all(raws)
  t.is(server.peerCount, PEERS / 2)
})
