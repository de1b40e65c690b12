// File descriptors, slots and memory come back after use, over many starts, connections and servers.
// In processes of their own, because descriptors and memory are counted.

import test from 'ava'
import { runScript } from '../helpers/child.mjs'

const prelude = `
  import { readdirSync } from 'node:fs'
  import { connect } from 'node:net'
  import { ZerioClient, ZerioServer } from 'zerio'
  // Windows has no list of them.
  const fds = () => process.platform === 'win32' ? 0 : readdirSync('/proc/self/fd').length
  const until = async (condition) => {
    const end = Date.now() + 20000
    while (!condition()) {
      if (Date.now() > end) throw new Error('in vain: ' + condition)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
  // Without what V8 keeps for garbage.
  const memory = () => {
    gc()
    const { rss, heapTotal, heapUsed } = process.memoryUsage()
    return rss - heapTotal + heapUsed
  }
  const codeOf = (promise) => promise.then(() => 'resolved', (error) => error.code)
  const report = (values) => console.log(JSON.stringify(values))
  const startServer = async (options, port = 0) => {
    const server = new ZerioServer({ host: '127.0.0.1', port }, options)
    await server.start('server')
    return server
  }
  const clientOf = (server) => new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
`

async function reports(t, body) {
  const result = await runScript(prelude + body, { flags: ['--expose-gc'] })
  t.is(result.stderr, '')
  t.is(result.code, 0, result.stdout)
  return JSON.parse(result.stdout)
}

test('300 starts and stops of a server and a client leak no descriptor and no memory', async (t) => {
  const { leaked, grown } = await reports(
    t,
    `
    let before
    for (let i = 0; i < 300; i++) {
      const server = await startServer()
      const client = clientOf(server)
      await client.start('client')
      await client.stop()
      await server.stop()
      if (i === 20) before = { fds: fds(), rss: memory() }
    }
    report({ leaked: fds() - before.fds, grown: memory() - before.rss })
    `
  )
  t.is(leaked, 0)
  t.true(grown < 20e6, `grown by ${grown} bytes`)
})

test('2,000 connects and disconnects leave everything as it was', async (t) => {
  const { leaked, grown, ids, counters, echo } = await reports(
    t,
    `
    const server = await startServer()
    const ids = new Set()
    let left = 0
    server.on('clientConnected', (id) => ids.add(id))
    server.on('clientDisconnected', () => left++)
    server.onMessage = (peer, buffer, offset, length) => { peer.send(buffer, offset, length) }
    const first = clientOf(server)
    await first.start('first')
    let before
    for (let round = 0; round < 40; round++) {
      const clients = Array.from({ length: 50 }, () => clientOf(server))
      await Promise.all(clients.map((client, index) => client.start(round + ' ' + index)))
      await Promise.all(clients.map((client) => client.stop()))
      await until(() => left === 50 * (round + 1) && server.peerCount === 1)
      if (round === 5) before = { fds: fds(), rss: memory() }
    }
    await until(() => fds() <= before.fds)
    let echo = 0
    first.onMessage = () => echo++
    first.send(Buffer.from('still here'))
    await until(() => echo === 1)
    report({
      leaked: fds() - before.fds,
      grown: memory() - before.rss,
      ids: ids.size,
      counters: server.counters,
      echo
    })
    await first.stop()
    await server.stop()
    `
  )
  t.is(leaked, 0)
  t.true(grown < 20e6, `grown by ${grown} bytes`)
  t.is(ids, 2001)
  t.is(counters.connected, 2001)
  t.is(counters.disconnected, 2000)
  t.is(counters.peers, 1)
  t.is(counters.handshakes, 0)
  t.is(echo, 1)
})

test('connections that never say who they are leave nothing behind', async (t) => {
  const { leaked, counters } = await reports(
    t,
    `
    const server = await startServer({ handshakeTimeoutMs: 100 })
    // The first stream of a process makes libuv open a spare descriptor.
    await new Promise((resolve) => connect(1, '127.0.0.1').on('error', () => {}).on('close', resolve))
    const before = fds()
    const sockets = Array.from({ length: 100 }, () => {
      const socket = connect(server.listeningPort, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      return socket
    })
    await until(() => server.counters.handshakeTimeouts === 100)
    await until(() => sockets.every((socket) => socket.destroyed) && fds() <= before && server.counters.handshakes === 0)
    report({ leaked: fds() - before, counters: server.counters })
    await server.stop()
    `
  )
  t.is(leaked, 0)
  t.is(counters.handshakes, 0)
  t.is(counters.refused, 100)
})

test('starts that fail leave no descriptor', async (t) => {
  const { leaked, codes, peers } = await reports(
    t,
    `
    const server = await startServer()
    const client = clientOf(server)
    await client.start('client')
    const before = fds()
    const codes = new Set()
    for (let i = 0; i < 50; i++) {
      codes.add(await codeOf(startServer({}, server.listeningPort)))
      codes.add(await codeOf(clientOf(server).start('client')))
      codes.add(await codeOf(new ZerioClient({ host: '127.0.0.1', port: 1 }).start('client')))
    }
    await until(() => fds() <= before)
    report({ leaked: fds() - before, codes: [...codes], peers: server.peerCount })
    await client.stop()
    await server.stop()
    `
  )
  t.is(leaked, 0)
  t.deepEqual(codes, ['EADDRINUSE', 'ZERIO_DUPLICATE_PEER_ID', 'ECONNREFUSED'])
  t.is(peers, 1)
})

test('an engine takes 64 servers, and refuses one more with a sentence', async (t) => {
  const { refused, ids, afterwards, leaked } = await reports(
    t,
    `
    await (await startServer()).stop()
    const before = fds()
    const servers = []
    for (let i = 0; i < 64; i++) servers.push(await startServer())
    const oneMore = new ZerioServer({ host: '127.0.0.1', port: 0 })
    const refused = await oneMore.start('server').catch(({ code, message }) => ({ code, message }))
    const clients = servers.map(clientOf)
    await Promise.all(clients.map((client, index) => client.start('' + index)))
    await until(() => servers.every((server) => server.peerCount === 1))
    const ids = servers.map((server) => server.peers[0].id)
    await servers[10].stop()
    const afterwards = await codeOf(oneMore.start('server'))
    await Promise.all([...clients, ...servers, oneMore].map((one) => one.stop()))
    await until(() => fds() <= before)
    report({ refused, ids, afterwards, leaked: fds() - before })
    `
  )
  t.is(refused.code, 'ZERIO_TOO_MANY_SERVERS')
  t.regex(refused.message, /at most 64/)
  t.deepEqual(
    ids,
    ids.map((_, index) => `${index}`)
  )
  t.is(afterwards, 'resolved')
  t.is(leaked, 0)
})

test('numbers of servers are used again after a stop, a failure to listen, and a stop during start', async (t) => {
  const { codes, together, leaked } = await reports(
    t,
    `
    const server = await startServer()
    await (await startServer()).stop()
    const before = fds()
    const codes = []
    for (let i = 0; i < 100; i++) {
      await (await startServer()).stop()
      codes.push(await codeOf(startServer({}, server.listeningPort)))
      const stopped = new ZerioServer({ host: '127.0.0.1', port: 0 })
      const started = codeOf(stopped.start('server'))
      await stopped.stop()
      codes.push(await started)
      // In the middle of a handshake.
      const greeting = await startServer()
      const client = clientOf(greeting)
      const refused = codeOf(client.start('client'))
      if (i % 2 === 0) await new Promise(setImmediate)
      await greeting.stop()
      await refused
      await client.stop()
    }
    const together = []
    for (let i = 0; i < 63; i++) together.push(await startServer())
    await Promise.all(together.map((one) => one.stop()))
    await until(() => fds() <= before)
    report({ codes: [...new Set(codes)], together: together.length, leaked: fds() - before })
    await server.stop()
    `
  )
  t.deepEqual(codes, ['EADDRINUSE', 'ZERIO_STOPPED'])
  t.is(together, 63)
  t.is(leaked, 0)
})

test('memory does not grow while more and more is offered to a peer that does not read', async (t) => {
  const { grown, backPressured } = await reports(
    t,
    `
    const server = await startServer({ socketSendBytes: 16384, maxMessageLength: 8192, sendRingBytes: 65536 })
    const socket = connect(server.listeningPort, '127.0.0.1').pause()
    socket.write(Buffer.from([1, 0, 0, 0, 65]))
    await until(() => server.peer('A'))
    const peer = server.peer('A')
    const message = Buffer.alloc(8000)
    const offer = () => { for (let i = 0; i < 50000; i++) peer.send(message) }
    offer()
    await new Promise(setImmediate)
    const before = memory()
    offer()
    await new Promise(setImmediate)
    offer()
    report({ grown: memory() - before, backPressured: peer.counters.backPressured })
    process.exit(0)
    `
  )
  t.true(grown < 5e6, `grown by ${grown} bytes`)
  t.true(backPressured > 100_000)
})
