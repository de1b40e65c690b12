// Limits of connections that are not peers: newcomers, refused and ended ones share maxHandshakes, whatever they do.

import test from 'ava'
import { runScript } from '../helpers/child.mjs'
import { startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { CODE, connectNative, connectRaw, hello, startBystander } from '../helpers/wire_raw.mjs'

/** The reasons of a server's `refused` events, each as often as it is counted. */
function refusals(server) {
  const codes = []
  server.on('refused', (reason, { count }) => codes.push(...Array(count).fill(reason.code)))
  return codes
}

const tooLong = Buffer.from([0, 0, 0, 0xff])

for (const [title, bytes] of [
  ['broke a rule as peers', (i) => Buffer.concat([hello({ id: `peer ${i}` }), tooLong])],
  ['are refused', () => hello({ version: 9 })],
  ['are refused without a word', () => tooLong.subarray(0, 4)],
  ['say half of a HELLO', (i) => hello({ id: `peer ${i}` }).subarray(0, 9)],
  ['say nothing', () => undefined]
]) {
  test(`connections that ${title} and stay are no more than the limits allow`, async (t) => {
    const server = await startServer(t, {
      maxPeers: 5,
      maxHandshakes: 5,
      lingerMs: 60_000,
      handshakeTimeoutMs: 60_000
    })
    const codes = refusals(server)
    const raws = []
    for (let i = 0; i < 100; i++) {
      const raw = await connectRaw(t, server.listeningPort)
      raws.push(raw)
      if (bytes(i) !== undefined) raw.write(bytes(i))
      await until(() => server.counters.accepted === raws.length)
      const { peers, handshakes, ended } = server.counters
      t.true(peers + handshakes + ended <= 10, `${peers} peers, ${handshakes} handshakes, ${ended} ended`)
    }
    // A newcomer that sends HELLO becomes a peer.
    const client = await startClient(t, server, 'good')
    t.true(client.isConnected)
    const { ended, lingersCut, newcomersEvicted, refused, disconnected, connected, handshakes } =
      server.counters
    t.is(connected + refused + handshakes, 101)
    t.is(lingersCut + newcomersEvicted + ended + handshakes, 100)
    t.is(disconnected, connected - 1)
    await until(() => codes.length === refused)
  })
}

test('the oldest silent newcomer is evicted first, and one that has begun to send only when none is silent', async (t) => {
  const server = await startServer(t, { maxHandshakes: 3, handshakeTimeoutMs: 60_000 })
  const codes = refusals(server)
  const add = async (bytes) => {
    const raw = await connectRaw(t, server.listeningPort)
    const { accepted, bytesReceived } = server.counters
    if (bytes !== undefined) raw.write(bytes)
    await until(() => server.counters.bytesReceived === bytesReceived + (bytes?.length ?? 0))
    await until(() => server.counters.accepted >= accepted)
    return raw
  }
  const half = hello({ id: 'slow' }).subarray(0, 7)
  const slow = await add(half)
  const silent = await add()
  const silentToo = await add()
  await until(() => server.counters.handshakes === 3)
  const fourth = await add()
  await silent.ends()
  t.false(slow.ended || silentToo.ended)
  const fifth = await add(half)
  await silentToo.ends()
  const sixth = await add(half)
  await fourth.ends()
  t.false(slow.ended)
  await add()
  await slow.ends()
  t.false(fifth.ended || sixth.ended)
  t.is(server.counters.newcomersEvicted, 4)
  t.is(server.counters.tooManyHandshakes, 4)
  await until(() => codes.length === 4)
  t.deepEqual(new Set(codes), new Set(['ZERIO_TOO_MANY_HANDSHAKES']))
  fifth.write(hello({ id: 'slow' }).subarray(7))
  await until(() => server.peer('slow') !== undefined)
})

test('a lingering connection is closed before any newcomer', async (t) => {
  const server = await startServer(t, { maxHandshakes: 2, lingerMs: 60_000, handshakeTimeoutMs: 60_000 })
  const silent = await connectRaw(t, server.listeningPort)
  await until(() => server.counters.handshakes === 1)
  const refused = await connectRaw(t, server.listeningPort)
  refused.write(hello({ version: 9 }))
  await refused.ends()
  await until(() => server.counters.ended === 1)
  t.is(server.counters.handshakes, 1)
  const client = await startClient(t, server, 'newcomer')
  t.true(client.isConnected)
  t.false(silent.ended)
  t.like(server.counters.toJSON(), {
    ended: 0,
    lingersCut: 1,
    newcomersEvicted: 0,
    handshakes: 1,
    refused: 1
  })
})

test('connections that the program closes keep their lingerMs, and newcomers are refused meanwhile', async (t) => {
  const server = await startServer(t, { maxHandshakes: 2, lingerMs: 60_000, socketSendBytes: 4096 })
  const codes = refusals(server)
  const raws = []
  for (let i = 0; i < 2; i++) {
    const raw = await connectNative(t, server, `slow ${i}`)
    raw.socket.pause()
    const peer = await until(() => server.peer(`slow ${i}`))
    while (peer.send(Buffer.alloc(60_000)) === 0) server.flush()
    peer.close()
    raws.push(raw)
  }
  await until(() => server.counters.ended === 2)
  const newcomer = await connectRaw(t, server.listeningPort)
  await newcomer.ends()
  await until(() => codes.length === 1)
  t.deepEqual(codes, ['ZERIO_TOO_MANY_HANDSHAKES'])
  t.like(server.counters.toJSON(), { lingersCut: 0, newcomersEvicted: 0, refused: 1 })
  // All that was accepted arrives, and the reason behind it.
  for (const raw of raws) {
    raw.socket.resume()
    const frames = await raw.framesUntilEnd()
    t.is(frames.at(-1).payload.readUInt16LE(), CODE.normal)
    raw.socket.end()
  }
  await until(() => server.counters.ended === 0)
  await startClient(t, server, 'later')
})

test('a peer that broke a rule and does not read is closed for a newcomer when there is no other choice', async (t) => {
  const server = await startServer(t, { maxHandshakes: 1, lingerMs: 60_000, socketSendBytes: 4096 })
  const raw = await connectNative(t, server, 'slow')
  raw.socket.pause()
  const peer = await until(() => server.peer('slow'))
  while (peer.send(Buffer.alloc(60_000)) === 0) server.flush()
  raw.write(tooLong)
  await until(() => server.counters.ended === 1)
  await startClient(t, server, 'newcomer')
  t.like(server.counters.toJSON(), { ended: 0, lingersCut: 1 })
})

test('silent newcomers do not keep others out', async (t) => {
  const server = await startServer(t, { maxHandshakes: 20, handshakeTimeoutMs: 60_000 })
  const bystander = await startBystander(t, server)
  for (let i = 0; i < 50; i++) {
    for (let k = 0; k < 3; k++) await connectRaw(t, server.listeningPort)
    const client = await startClient(t, server, `good ${i}`)
    await client.stop()
  }
  await bystander.goesOn()
  t.is(server.counters.connected, 51)
})

/** Runs a script in a process of its own, because descriptors and memory are counted, and returns what it reports. */
async function reported(t, body) {
  const result = await runScript(`
    import { readdirSync } from 'node:fs'
    import { connect } from 'node:net'
    import { once } from 'node:events'
    import { ZerioServer } from 'zerio'
    import { until } from './test/helpers/until.mjs'
    import { dataFrame, hello } from './test/helpers/wire_raw.mjs'
    const all = []
    const raw = async (server) => {
      const socket = connect({ port: server.listeningPort, host: '127.0.0.1', allowHalfOpen: true })
      socket.on('error', () => {})
      all.push(socket)
      await once(socket, 'connect')
      return socket
    }
    const report = (values) => {
      console.log(JSON.stringify(values))
      // The process ends only after connections that still have something to receive.
      for (const socket of all) socket.destroy()
      setTimeout(() => process.exit(0), 10)
    }
    ${body}`)
  t.deepEqual([result.code, result.signal, result.stderr], [0, null, ''])
  return JSON.parse(result.stdout)
}

test('the descriptors of a process are no more than the limits of its server allow', async (t) => {
  const { most } = await reported(
    t,
    `const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { maxPeers: 5, maxHandshakes: 5, lingerMs: 60_000 })
    await server.start('server')
    const sockets = []
    const descriptors = () => readdirSync('/proc/self/fd').length - sockets.length
    const before = descriptors()
    let most = 0
    for (let i = 0; i < 200; i += 20) {
      // All of them are there before the server looks: they must wait in the listen queue.
      const made = Array.from({ length: 20 }, () => raw(server))
      for (const socket of await Promise.all(made)) {
        sockets.push(socket.pause())
        socket.write(Buffer.concat([hello({ id: 'peer ' + sockets.length }), Buffer.from([0, 0, 0, 255])]))
      }
      most = Math.max(most, descriptors() - before)
      await until(() => server.counters.accepted === sockets.length)
      most = Math.max(most, descriptors() - before)
    }
    report({ most })`
  )
  t.true(most <= 10, `${most} descriptors`)
})

test('a connection that is no longer read gives back its half-received message', async (t) => {
  const { ended, grown } = await reported(
    t,
    `const server = new ZerioServer(
      { host: '127.0.0.1', port: 0 },
      { maxMessageLength: 8_000_000, sendRingBytes: 16_100_000, socketSendBytes: 4096, lingerMs: 60_000 }
    )
    await server.start('server')
    const half = dataFrame(Buffer.alloc(7_500_000)).subarray(0, 7_000_000)
    const filler = Buffer.alloc(50_000)
    const resident = () => process.memoryUsage.rss() / 1e6
    const hold = async (id) => {
      const socket = (await raw(server)).pause()
      socket.write(hello({ id, lengthMax: 8_000_000 }))
      const peer = await until(() => server.peer(id))
      for (let i = 0; i < 20; i++) peer.send(filler)
      const { bytesReceived } = peer.counters
      socket.write(half)
      await until(() => peer.counters.bytesReceived === bytesReceived + half.length)
      peer.close()
      await until(() => !server.peer(id))
    }
    await hold('first')
    const before = resident()
    for (let i = 0; i < 8; i++) await hold('peer ' + i)
    report({ ended: server.counters.ended, grown: resident() - before })`
  )
  t.is(ended, 9)
  t.true(grown < 40, `${grown.toFixed(0)} MB more`)
})
