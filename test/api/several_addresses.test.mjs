// One server on several addresses: one set of peers, ids, limits and counters.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { until } from '../helpers/until.mjs'

const local = { host: '127.0.0.1', port: 0 }

function newPath(t) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return join(folder, 'socket')
}

async function listen(t, addresses, options) {
  const server = new ZerioServer(addresses, options)
  t.teardown(() => server.stop())
  await server.start('server')
  return server
}

async function connect(t, address, id) {
  const client = new ZerioClient(address)
  t.teardown(() => client.stop())
  await client.start(id)
  return client
}

test('a server listens on two ports, and has one set of peers', async (t) => {
  const server = await listen(t, [local, local])
  const [first, second] = server.listeningAddresses
  t.is(server.listeningAddresses.length, 2)
  t.not(first.port, second.port)
  t.is(server.listeningPort, first.port)
  const clients = [await connect(t, first, 'one'), await connect(t, second, 'two')]
  t.is(server.peerCount, 2)
  const heard = clients.map((client) => new Promise((resolve) => client.once('message', resolve)))
  t.is(server.broadcast(Buffer.from('oui')), 2)
  t.deepEqual((await Promise.all(heard)).map(String), ['oui', 'oui'])
  t.true(server.peer('one').localAddress.endsWith(`:${first.port}`))
  t.true(server.peer('two').localAddress.endsWith(`:${second.port}`))
  // An id is one of the server, whatever the address.
  await t.throwsAsync(connect(t, second, 'one'), { code: 'ZERIO_DUPLICATE_PEER_ID' })
  t.is(server.counters.accepted, 3)
  t.is(server.counters.connected, 2)
})

test('a port, a path, and what authenticate learns of them', async (t) => {
  const path = newPath(t)
  const asked = []
  const authenticate = (_id, _credential, info) => {
    asked.push(info)
    return info.localAddress === `unix:${path}`
  }
  const server = await listen(t, [{ path }, local], { authenticate })
  const [near, far] = server.listeningAddresses
  t.is(server.listeningPath, path)
  t.is(server.listeningPort, 0)
  await connect(t, near, 'near')
  await t.throwsAsync(connect(t, far, 'far'), { code: 'ZERIO_UNAUTHORIZED' })
  t.deepEqual(asked[0], { remoteAddress: 'unix:', localAddress: `unix:${path}`, protocol: 'native' })
  t.is(asked[1].localAddress, `127.0.0.1:${far.port}`)
  t.deepEqual(
    server.peers.map(({ id }) => id),
    ['near']
  )
})

test('stopListening and stop close all of them, and the server starts again', async (t) => {
  const server = await listen(t, [local, local])
  const before = server.listeningAddresses
  const client = await connect(t, before[0], 'one')
  await until(() => server.peerCount === 1)
  server.stopListening()
  t.deepEqual(server.listeningAddresses, [])
  t.is(server.listeningPort, 0)
  for (const address of before) await t.throwsAsync(connect(t, address, 'late'), { code: 'ECONNREFUSED' })
  t.true(client.isConnected)
  await server.stop()
  await server.start('server')
  for (const address of server.listeningAddresses) await connect(t, address, `at ${address.port}`)
  t.is(server.peerCount, 2)
})

// Alone, because another test could be given the port that is free for a moment.
test.serial('one address that is refused refuses all of them', async (t) => {
  const taken = await listen(t, local)
  const free = await listen(t, local)
  const address = { host: '127.0.0.1', port: free.listeningPort }
  await free.stop()
  const server = new ZerioServer([address, { host: '127.0.0.1', port: taken.listeningPort }])
  const error = await t.throwsAsync(server.start('server'), { code: 'EADDRINUSE' })
  t.is(error.port, taken.listeningPort)
  t.is(server.state, 'idle')
  t.deepEqual(server.listeningAddresses, [])
  await t.throwsAsync(connect(t, address, 'one'), { code: 'ECONNREFUSED' })
  await taken.stop()
  await server.start('server')
  t.teardown(() => server.stop())
  await connect(t, address, 'one')
})

test('a path goes when another address is refused', async (t) => {
  const path = newPath(t)
  await t.throwsAsync(listen(t, [{ path }, { fd: 1_000_000 }]), { code: 'EBADF' })
  t.false(existsSync(path))
})

test('servers with several addresses and with one share an engine', async (t) => {
  const servers = [
    await listen(t, [local, local, local]),
    await listen(t, local),
    await listen(t, [local, local])
  ]
  t.is(new Set(servers.map((server) => server.engine)).size, 1)
  for (const server of servers) {
    for (const address of server.listeningAddresses) await connect(t, address, `at ${address.port}`)
  }
  t.deepEqual(
    servers.map(({ peerCount }) => peerCount),
    [3, 1, 2]
  )
  await servers[0].stop()
  await connect(t, servers[2].listeningAddresses[1], 'later')
  t.is(servers[2].peerCount, 3)
})

test('maxPeers is the limit of all addresses together', async (t) => {
  const server = await listen(t, [local, local], { maxPeers: 1 })
  const [first, second] = server.listeningAddresses
  await connect(t, first, 'one')
  await t.throwsAsync(connect(t, second, 'two'), { code: 'ZERIO_SERVER_FULL' })
})

test('a server has 1 to 16 addresses, and a client one', async (t) => {
  const many = Array.from({ length: 16 }, () => local)
  const server = await listen(t, many)
  t.is(new Set(server.listeningAddresses.map(({ port }) => port)).size, 16)
  const last = server.listeningAddresses[15]
  await connect(t, last, 'last')
  for (const addresses of [[], [...many, local], [[local]], [local, { port: -1 }]])
    t.throws(() => new ZerioServer(addresses), { code: 'ZERIO_BAD_ARGUMENT' }, JSON.stringify(addresses))
  t.throws(() => new ZerioClient([local]), { code: 'ZERIO_BAD_ARGUMENT' })
})

test('an array that the program changes afterwards changes nothing', async (t) => {
  const addresses = [local, local]
  const server = new ZerioServer(addresses)
  addresses.length = 0
  t.teardown(() => server.stop())
  await server.start('server')
  server.listeningAddresses.length = 0
  t.is(server.listeningAddresses.length, 2)
})
