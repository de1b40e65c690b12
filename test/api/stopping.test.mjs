// stop() waits for every connection, whatever happens in the same batch, and ends that a program causes at once are spread over polls.

import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { ZerioClient } from 'zerio'
import { ownEngine, startClient, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  farewell,
  hello,
  OPCODE,
  startRawServer,
  welcome
} from '../helpers/wire_raw.mjs'

test('stop waits for a connection that is accepted in the same batch', async (t) => {
  for (let round = 0; round < 10; round++) {
    const options = ownEngine({ waitStrategy: 'manual', lingerMs: 5000 })
    const server = await startServer(t, options)
    let stopped
    server.on('clientDisconnected', () => {
      stopped = server.stop()
    })
    const peer = await connectRaw(t, server.listeningPort)
    peer.write(hello({ id: 'peer' }))
    await pollUntil(server, () => server.peerCount === 1)
    // The client is a newcomer for its first 20 ms, and would take the share of the next one.
    for (const end = performance.now() + 40; performance.now() < end; await pause(5)) server.poll()
    const other = await connectRaw(t, server.listeningPort)
    peer.write(farewell(OPCODE.close, CODE.normal))
    await pause(10)
    await pollUntil(server, () => stopped !== undefined)
    await stopped
    await other.ends()
    t.is(server.counters.handshakes + server.counters.peers + server.counters.ended, 0)
    // Its number may be taken at once.
    await server.start('server')
    await server.stop()
  }
})

for (const where of ['in the handler', 'behind it']) {
  test(`two peers that leave in one batch are both reported when the program stops ${where}`, async (t) => {
    const server = await startServer(t, ownEngine())
    const gone = []
    let stopped
    server.on('clientDisconnected', (id) => {
      gone.push(id)
      if (where === 'in the handler') stopped ??= server.stop()
    })
    const raws = []
    for (const id of ['a', 'b']) {
      const raw = await connectRaw(t, server.listeningPort)
      raw.write(hello({ id }))
      raws.push(raw)
    }
    await until(() => server.peerCount === 2)
    // Newcomers have a share of their own.
    await pause(60)
    for (const raw of raws) raw.socket.destroy()
    if (where === 'behind it')
      stopped = new Promise((resolve) => setImmediate(resolve)).then(() => server.stop())
    await until(() => stopped !== undefined)
    await stopped
    t.deepEqual(gone.sort(), ['a', 'b'])
    t.is(server.peerCount, 0)
  })
}

test('the loop dispatches the rest of a batch that poll() has left, and then what comes next', async (t) => {
  const server = await startServer(t, ownEngine())
  const client = await startClient(t, server, 'client', ownEngine())
  let got = 0
  let throws = true
  server.onMessage = () => {
    got++
    if (throws && got === 300) {
      throws = false
      throw new Error('of the handler')
    }
  }
  const send = () => {
    client.send(Buffer.from('x'))
    client.flush()
  }
  // Polls in a loop, so that the connection becomes hot.
  for (let sent = 0; sent < 299; sent++) {
    send()
    for (const end = performance.now() + 1000; got <= sent && performance.now() < end; ) {
      server.poll()
      client.poll()
    }
  }
  t.is(got, 299)
  for (let i = 0; i < 3; i++) send()
  t.throws(
    () => {
      for (const end = performance.now() + 1000; performance.now() < end; ) {
        server.poll()
        client.poll()
      }
    },
    { message: 'of the handler' }
  )
  await until(() => got === 302)
  await pause(20)
  send()
  await until(() => got === 303)
  t.pass()
})

test('a server that starts in the batch in which another one has stopped gets none of its events', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual', lingerMs: 0 })
  const first = await startServer(t, options)
  const second = await startServer(t, options)
  await second.stop()
  const wrong = []
  second.on('refused', (reason) => wrong.push(reason.code))
  let starts
  first.on('refused', () => {
    if (starts !== undefined) return
    void first.stop()
    starts = second.start('second')
  })
  const raws = []
  for (let i = 0; i < 5; i++) raws.push(await connectRaw(t, first.listeningPort))
  await pollUntil(first, () => first.counters.handshakes === 5)
  for (const raw of raws) raw.socket.destroy()
  await pause(50)
  await pollUntil(first, () => starts !== undefined)
  await starts
  for (let i = 0; i < 20; i++) second.poll()
  t.deepEqual(wrong, [])
})

test("client.stop waits for the client's last connection, too", async (t) => {
  const server = await startRawServer(t)
  const client = new ZerioClient(
    { host: '127.0.0.1', port: server.port },
    { lingerMs: 60_000, socketSendBytes: 4096 }
  )
  t.teardown(() => client.stop())
  const connected = async () => {
    const started = client.start('client')
    const raw = await server.next()
    raw.write(welcome())
    await started
    return raw
  }
  const first = await connected()
  first.socket.pause()
  while (client.send(Buffer.alloc(60_000)) === 0) client.flush()
  first.socket.end()
  await until(() => !client.isConnected)
  const second = await connected()
  let stopped = false
  const stops = client.stop().then(() => {
    stopped = true
  })
  await second.ends()
  second.socket.end()
  await pause(50)
  t.false(stopped)
  first.socket.resume()
  await first.ends()
  await stops
})

for (const how of ['close', 'terminate', 'stop']) {
  test(`${how} of all peers at once: the ends are spread over polls, and each peer sees its own`, async (t) => {
    const server = await startServer(t, ownEngine({ waitStrategy: 'manual' }))
    const raws = []
    for (let i = 0; i < 200; i++) {
      const raw = await connectRaw(t, server.listeningPort)
      raw.write(hello({ id: `peer ${i}` }))
      raws.push(raw)
      await pollUntil(server, () => server.peerCount === raws.length)
    }
    let ends = 0
    server.on('clientDisconnected', () => ends++)
    let most = 0
    let stops
    if (how === 'stop') stops = server.stop()
    else for (const peer of server.peers) peer[how]()
    while (ends < raws.length) {
      const before = ends
      server.poll()
      most = Math.max(most, ends - before)
      if (ends % 50 === 0) await pause(0)
    }
    // A poll that comes late does more, for a millisecond at most.
    t.true(most < 150, `${most} ends in one poll`)
    await Promise.all(raws.map((raw) => raw.ends()))
    for (const raw of raws) raw.socket.destroy()
    await stops
  })
}

test('a server that stops closes its newcomers, however many there are', async (t) => {
  const server = await startServer(t, { handshakeTimeoutMs: 60_000 })
  const bystander = await startServer(t)
  const client = await startClient(t, bystander, 'client')
  const raws = await Promise.all(Array.from({ length: 100 }, () => connectRaw(t, server.listeningPort)))
  await until(() => server.counters.handshakes === raws.length)
  const peer = await connectNative(t, server)
  const stops = server.stop()
  await Promise.all([peer, ...raws].map((raw) => raw.ends()))
  peer.socket.end()
  await stops
  t.is(server.counters.handshakes, 0)
  t.true(client.isConnected)
})
