// Where servers listen and clients connect: IPv4, IPv6, both, host names, any free port, one port for several servers.

import dns from 'node:dns/promises'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { until } from '../helpers/until.mjs'

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((one) => one.address === '::1')
/** Tests that need IPv6 say so where there is none. One at a time: the two families have ports of their own, which may be equal. */
const testIpv6 = hasIpv6
  ? test.serial
  : (name) =>
      test(name, (t) => {
        t.log('not run: this system has no IPv6')
        t.pass()
      })

/** No test listens on this IPv4 address alone: only a server that listens on all addresses answers here. */
const QUIET = '127.0.0.9'

async function listen(t, address, options) {
  const server = new ZerioServer(address, options)
  t.teardown(() => server.stop())
  await server.start('server')
  return server
}

async function connect(t, host, port, id = 'client') {
  const client = new ZerioClient({ host, port }, { connectTimeoutMs: 10_000 })
  t.teardown(() => client.stop())
  await client.start(id)
  return client
}

async function remoteAddress(server, id) {
  return (await until(() => server.peer(id))).remoteAddress
}

test.serial('a server listens on an IPv4 host, and a client connects to it', async (t) => {
  const server = await listen(t, { host: '127.0.0.1', port: 0 })
  t.is(server.listeningHost, '127.0.0.1')
  t.true(server.listeningPort > 0)
  await connect(t, '127.0.0.1', server.listeningPort)
  t.regex(await remoteAddress(server, 'client'), /^127\.0\.0\.1:\d+$/)
  if (hasIpv6) await t.throwsAsync(connect(t, '::1', server.listeningPort), { code: 'ECONNREFUSED' })
})

testIpv6('a server listens on an IPv6 host, and a client connects to it', async (t) => {
  const server = await listen(t, { host: '::1', port: 0 })
  t.is(server.listeningHost, '::1')
  await connect(t, '::1', server.listeningPort)
  t.regex(await remoteAddress(server, 'client'), /^\[::1\]:\d+$/)
  await t.throwsAsync(connect(t, QUIET, server.listeningPort), { code: 'ECONNREFUSED' })
})

testIpv6('a server without a host accepts IPv4 and IPv6 on one port', async (t) => {
  const server = await listen(t, 0)
  t.is(server.listeningHost, '::')
  await connect(t, '127.0.0.1', server.listeningPort, 'four')
  await connect(t, '::1', server.listeningPort, 'six')
  t.regex(await remoteAddress(server, 'four'), /^127\.0\.0\.1:\d+$/)
  t.regex(await remoteAddress(server, 'six'), /^\[::1\]:\d+$/)
})

testIpv6('a server with ipv6Only accepts no IPv4', async (t) => {
  const server = await listen(t, { host: '::', port: 0 }, { ipv6Only: true })
  await connect(t, '::1', server.listeningPort)
  await t.throwsAsync(connect(t, QUIET, server.listeningPort), { code: 'ECONNREFUSED' })
})

test('a server on 0.0.0.0 accepts IPv4 on all interfaces', async (t) => {
  const server = await listen(t, { host: '0.0.0.0', port: 0 })
  t.is(server.listeningHost, '0.0.0.0')
  await connect(t, '127.0.0.1', server.listeningPort)
  t.is(server.peerCount, 1)
})

test.serial('localhost works on both sides, and a client may give a port alone', async (t) => {
  const server = await listen(t, { host: 'localhost', port: 0 })
  t.regex(server.listeningHost, /^(127\.0\.0\.1|::1)$/)
  await connect(t, 'localhost', server.listeningPort, 'named')
  const client = new ZerioClient(server.listeningPort)
  t.teardown(() => client.stop())
  await client.start('port alone')
  await until(() => server.peerCount === 2)
  t.pass()
})

test('a client tries all addresses of a name', async (t) => {
  const addresses = await dns.lookup('localhost', { all: true, verbatim: true })
  if (addresses.length < 2) t.log(`localhost has one address here, ${addresses[0].address}`)
  // The one address with a server may stand anywhere in the list.
  for (const { address } of addresses) {
    const server = await listen(t, { host: address, port: 0 })
    await connect(t, 'localhost', server.listeningPort)
    t.is((await until(() => server.peers[0])).id, 'client', address)
    await server.stop()
  }
  const server = await listen(t, { host: '127.0.0.1', port: 0 })
  const port = server.listeningPort
  await server.stop()
  await t.throwsAsync(connect(t, 'localhost', port), { code: 'ECONNREFUSED' })
})

/** What a resolver could answer; few machines have a name with several addresses. */
const names = {
  'refused-first.test': ['127.0.0.2', '::1', '127.0.0.1'],
  'all-refuse.test': ['127.0.0.2', '127.0.0.3']
}
const { lookup } = dns
dns.lookup = (name, options) =>
  name in names
    ? Promise.resolve(names[name].map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
    : lookup(name, options)

test('a client connects when only the last address of a name accepts', async (t) => {
  const server = await listen(t, { host: '127.0.0.1', port: 0 })
  const client = await connect(t, 'refused-first.test', server.listeningPort)
  t.true(client.isConnected)
  t.is((await until(() => server.peers[0])).id, 'client')
  t.is(server.counters.accepted, 1)
  const error = await t.throwsAsync(connect(t, 'all-refuse.test', server.listeningPort), {
    code: 'ECONNREFUSED'
  })
  t.is(error.port, server.listeningPort)
})

test('the system chooses a new port for each server with port 0', async (t) => {
  const servers = []
  for (let i = 0; i < 5; i++) servers.push(await listen(t, { host: '127.0.0.1', port: 0 }))
  t.is(new Set(servers.map((server) => server.listeningPort)).size, 5)
})

test('reusePort: two servers share one port and its clients', async (t) => {
  const first = await listen(t, { host: '127.0.0.1', port: 0 }, { reusePort: true })
  const port = first.listeningPort
  await t.throwsAsync(listen(t, { host: '127.0.0.1', port }), { code: 'EADDRINUSE' })
  const second = await listen(t, { host: '127.0.0.1', port }, { reusePort: true })
  t.is(second.listeningPort, port)
  for (let i = 0; i < 60; i++) await connect(t, '127.0.0.1', port, `client ${i}`)
  await until(() => first.peerCount + second.peerCount === 60)
  t.true(first.peerCount > 0 && second.peerCount > 0, 'the system spreads connections over both')
})

test('a peer keeps its remote address after it has left', async (t) => {
  const server = await listen(t, { host: '127.0.0.1', port: 0 })
  const gone = once(server, 'clientDisconnected')
  const client = await connect(t, '127.0.0.1', server.listeningPort, 'client')
  await client.stop()
  const [, , peer] = await gone
  t.regex(peer.remoteAddress, /^127\.0\.0\.1:\d+$/)
})
