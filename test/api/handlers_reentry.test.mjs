// Handlers that call send, close, stop, start, poll and flush, on this object or another.

import { once } from 'node:events'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { collect, makeClient, ownEngine, startClient, startPair, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'

const text = (buffer, offset, length) => buffer.toString('utf8', offset, offset + length)
const bytes = (string) => Buffer.from(string)

test('poll throws in each kind of handler of the same engine', async (t) => {
  const server = await startServer(t)
  const client = makeClient(t, server)
  const seen = new Map()
  const poll = (name) => (polled) => {
    try {
      polled.poll()
      seen.set(name, 'returned')
    } catch (error) {
      seen.set(name, error.code)
      t.regex(error.message, /return from the handler/)
    }
  }
  server.on('clientConnected', () => poll('clientConnected')(server))
  server.on('clientDisconnected', () => poll('clientDisconnected')(client))
  server.on('message', () => poll('server message')(server))
  client.on('connected', () => poll('connected')(server))
  client.on('disconnected', () => poll('disconnected')(client))
  server.onMessage = (peer, buffer, offset, length) => {
    poll('server.onMessage')(client)
    peer.send(buffer, offset, length)
  }
  client.onMessage = () => poll('client.onMessage')(client)
  await client.start('client')
  client.send(bytes('x'))
  await until(() => seen.has('client.onMessage'))
  server.peer('client').close()
  await until(() => seen.has('disconnected') && seen.has('clientDisconnected'))
  t.deepEqual(
    [...seen.values()],
    [...seen.keys()].map(() => 'ZERIO_POLL_IN_HANDLER')
  )
  t.is(seen.size, 7)
})

test('poll in a handler of another engine works', async (t) => {
  const outer = await startPair(t)
  const inner = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  const got = collect(inner.server)
  inner.client.send(bytes('inner'))
  inner.client.flush()
  let polled = 0
  outer.server.onMessage = (peer) => {
    polled += inner.server.poll()
    peer.send(bytes('x'))
  }
  outer.client.onMessage = () => {
    if (got.length === 0) outer.client.send(bytes('x'))
  }
  outer.client.send(bytes('x'))
  await until(() => got.length === 1)
  t.is(polled, 1)
})

test('every handler of a server and a client may send and flush', async (t) => {
  const server = await startServer(t)
  const client = makeClient(t, server)
  const atServer = []
  const atClient = []
  server.on('clientConnected', (_id, peer) => {
    t.is(peer.send(bytes('welcome')), SendStatus.Sent)
    server.flush()
  })
  client.on('connected', () => {
    t.is(client.send(bytes('hello')), SendStatus.Sent)
    client.flush()
  })
  server.onMessage = (peer, buffer, offset, length) => {
    atServer.push(text(buffer, offset, length))
    if (atServer.length < 5) {
      peer.send(buffer, offset, length)
      server.flush()
      server.broadcast(bytes('to all'))
    }
  }
  client.onMessage = (buffer, offset, length) => {
    atClient.push(text(buffer, offset, length))
    if (atClient.at(-1) === 'to all') client.send(bytes('again'))
  }
  server.on('clientDisconnected', (_id, _reason, peer) => {
    atServer.push(peer.send(bytes('too late')))
  })
  client.on('disconnected', () => {
    atClient.push(client.send(bytes('too late')))
  })
  await client.start('client')
  await until(() => atServer.length === 5)
  server.peer('client').close()
  await until(() => atServer.length === 6 && atClient.at(-1) === SendStatus.Closed)
  t.deepEqual(atServer, ['hello', 'again', 'again', 'again', 'again', SendStatus.Closed])
  t.is(atClient[0], 'welcome')
  t.is(atClient[1], 'hello')
})

test('close in onMessage: earlier answers arrive, and no later message is delivered', async (t) => {
  const { server, client } = await startPair(t)
  const atServer = []
  const atClient = collect(client)
  server.onMessage = (peer, buffer, offset, length) => {
    atServer.push(text(buffer, offset, length))
    peer.send(bytes('first answer'))
    peer.close(4001, 'one is enough')
    t.is(peer.send(bytes('second answer')), SendStatus.Closed)
    t.false(peer.isOpen)
    peer.close(4002, 'a second close does nothing')
  }
  const gone = once(client, 'disconnected')
  for (let i = 0; i < 10; i++) client.send(bytes(`question ${i}`))
  const [reason] = await gone
  t.is(reason.closeCode, 4001)
  t.is(reason.message, 'one is enough')
  t.deepEqual(atServer, ['question 0'])
  t.deepEqual(
    atClient.map((one) => one.bytes.toString()),
    ['first answer']
  )
})

test('close of another peer in onMessage: no further message of that peer is delivered', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const server = await startServer(t, options)
  const first = await startClient(t, server, 'first', options)
  const second = await startClient(t, server, 'second', options)
  await pollUntil(server, () => server.peerCount === 2)
  const from = []
  server.onMessage = (peer) => {
    from.push(peer.id)
    for (const other of server.peers) if (other !== peer) other.close()
  }
  for (let i = 0; i < 5; i++) {
    first.send(bytes('x'))
    second.send(bytes('x'))
  }
  server.flush()
  await pollUntil(server, () => server.peerCount === 1 && from.length >= 5)
  const winner = from[0]
  t.deepEqual(from, [winner, winner, winner, winner, winner])
})

test('the handlers of clientConnected and clientDisconnected may close', async (t) => {
  const server = await startServer(t)
  const client = makeClient(t, server)
  const events = []
  server.on('clientConnected', (_id, peer) => {
    events.push('clientConnected')
    peer.close(4444, 'go away')
  })
  server.on('clientDisconnected', (_id, reason, peer) => {
    events.push(`clientDisconnected ${reason.closeCode} ${reason.local}`)
    t.notThrows(() => peer.close())
  })
  server.onMessage = () => events.push('message')
  const gone = once(client, 'disconnected')
  await client.start('client')
  client.send(bytes('x'))
  const [reason] = await gone
  t.is(reason.closeCode, 4444)
  t.is(reason.message, 'go away')
  await until(() => events.length === 2)
  t.deepEqual(events, ['clientConnected', 'clientDisconnected 4444 true'])
})

test('server.stop in onMessage: the answer arrives, and stop resolves', async (t) => {
  const { server, client } = await startPair(t)
  const got = collect(client)
  let stopped
  server.onMessage = (peer, buffer, offset, length) => {
    t.is(stopped, undefined)
    peer.send(buffer, offset, length)
    stopped = server.stop()
    t.is(peer.send(buffer, offset, length), SendStatus.Closed)
    t.is(server.stop(), stopped)
  }
  const gone = once(client, 'disconnected')
  for (let i = 0; i < 5; i++) client.send(bytes(`question ${i}`))
  const [reason] = await gone
  await stopped
  t.is(reason.code, 'ZERIO_GOING_AWAY')
  t.deepEqual(
    got.map((one) => one.bytes.toString()),
    ['question 0']
  )
  t.is(server.peerCount, 0)
})

test('client.stop in onMessage: nothing more is delivered, the answer arrives', async (t) => {
  const { server, client, peer } = await startPair(t)
  const atServer = collect(server)
  const atClient = []
  let stopped
  client.onMessage = (buffer, offset, length) => {
    atClient.push(text(buffer, offset, length))
    client.send(bytes('bye'))
    stopped = client.stop()
  }
  const gone = once(server, 'clientDisconnected')
  for (let i = 0; i < 5; i++) peer.send(bytes(`message ${i}`))
  const [id, reason] = await gone
  await stopped
  t.is(id, 'client')
  t.is(reason.closeCode, 1000)
  t.false(reason.local)
  t.deepEqual(atClient, ['message 0'])
  t.deepEqual(
    atServer.map((one) => one.bytes.toString()),
    ['bye']
  )
})

test('the handlers of connected, clientConnected, disconnected and clientDisconnected may stop', async (t) => {
  for (const event of ['connected', 'disconnected']) {
    const server = await startServer(t)
    const client = makeClient(t, server)
    let stopped
    client.on(event, () => {
      stopped = client.stop()
    })
    await client.start('client')
    if (event === 'disconnected') (await until(() => server.peer('client'))).close()
    await (await until(() => stopped && [stopped]))[0]
    t.false(client.isConnected, event)
    await until(() => server.peerCount === 0)
  }
  for (const event of ['clientConnected', 'clientDisconnected']) {
    const server = await startServer(t)
    const client = makeClient(t, server)
    let stopped
    server.on(event, () => {
      stopped = server.stop()
    })
    const ended = once(client, 'disconnected')
    await client.start('client')
    if (event === 'clientDisconnected') client.stop()
    await (await until(() => stopped && [stopped]))[0]
    await ended
    t.is(server.listeningPort, 0, event)
    t.is(server.peerCount, 0, event)
  }
})

test('a handler may start other servers and clients of the same engine', async (t) => {
  const { server, client } = await startPair(t)
  const answers = []
  server.onMessage = async (peer) => {
    const other = new ZerioServer({ host: '127.0.0.1', port: 0 })
    t.teardown(() => other.stop())
    await other.start('other')
    const inner = new ZerioClient({ host: '127.0.0.1', port: other.listeningPort })
    t.teardown(() => inner.stop())
    await inner.start('inner')
    other.onMessage = () => peer.send(bytes('from the inner server'))
    inner.send(bytes('x'))
  }
  client.onMessage = (...message) => answers.push(text(...message))
  client.send(bytes('x'))
  await until(() => answers.length === 1)
  t.deepEqual(answers, ['from the inner server'])
})

test('a handler that is replaced while it runs does not get the next message', async (t) => {
  const { server, client } = await startPair(t)
  const seen = []
  const last = (_peer, buffer, offset, length) => seen.push(`last ${text(buffer, offset, length)}`)
  server.onMessage = (_peer, buffer, offset, length) => {
    seen.push(`first ${text(buffer, offset, length)}`)
    server.onMessage = last
  }
  for (let i = 0; i < 3; i++) client.send(bytes(`${i}`))
  await until(() => seen.length === 3)
  t.deepEqual(seen, ['first 0', 'last 1', 'last 2'])
  server.onMessage = null
  client.send(bytes('dropped'))
  await until(() => server.counters.messagesReceived === 4)
  server.onMessage = last
  client.send(bytes('3'))
  await until(() => seen.length === 4)
  t.is(seen[3], 'last 3')
})

test('onMessage and message listeners get the same message, onMessage first', async (t) => {
  const { server, client } = await startPair(t)
  const seen = []
  server.onMessage = (peer, buffer, offset, length) =>
    seen.push(['onMessage', peer.id, text(buffer, offset, length)])
  server.on('message', (id, message, channel, peer) => {
    seen.push(['message', id, message.toString(), channel, peer === server.peer('client')])
  })
  client.send(bytes('hi'), 4)
  await until(() => seen.length === 2)
  t.deepEqual(seen, [
    ['onMessage', 'client', 'hi'],
    ['message', 'client', 'hi', 4, true]
  ])
})

test('the message event passes a copy that keeps its bytes', async (t) => {
  const { server, client } = await startPair(t)
  const got = collect(server)
  for (let i = 0; i < 1000; i++) {
    client.send(Buffer.alloc(100, i & 255))
    if (i % 50 === 0) await new Promise(setImmediate)
  }
  await until(() => got.length === 1000)
  t.true(got.every((one, i) => one.bytes.length === 100 && one.bytes.every((byte) => byte === (i & 255))))
})
