// How a client connects: several addresses at once, one time limit for everything, and stop in every phase.

import dns from 'node:dns'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { SendStatus, ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { killAddresses } from '../helpers/dead_addresses.mjs'
import { startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import { connectNative, startRawServer } from '../helpers/wire_raw.mjs'

const code = (name) => ({ instanceOf: ZerioError, code: name })

/** The resolver's answers to invented names: addresses, or a promise of them. */
const names = {}
const { lookup } = dns.promises
dns.promises.lookup = async (name, options) =>
  name in names
    ? (await names[name]).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    : lookup(name, options)

let made = 0
function nameOf(addresses) {
  const name = `host-${++made}.test`
  names[name] = addresses
  return name
}

function clientOf(t, addresses, port, options) {
  const client = new ZerioClient({ host: nameOf(addresses), port }, options)
  t.teardown(() => client.stop())
  return client
}

// The tests of time limits are serial, because they look at the clock.

test.serial('addresses that do not answer cost a quarter of a second each', async (t) => {
  const server = await startServer(t)
  const port = server.listeningPort
  await killAddresses(t, ['127.0.0.2', '127.0.0.3'], port)
  const client = clientOf(t, ['127.0.0.2', '127.0.0.3', '127.0.0.1'], port, { connectTimeoutMs: 20_000 })
  const begin = performance.now()
  await client.start('client')
  const tookMs = performance.now() - begin
  t.true(tookMs > 450 && tookMs < 10_000, `${tookMs} ms`)
  await until(() => server.peerCount === 1)
  t.is(server.counters.accepted, 1)
})

test.serial('abandoned attempts close their sockets, and do not disturb the client', async (t) => {
  const server = await startServer(t)
  const port = server.listeningPort
  await killAddresses(t, ['127.0.0.2'], port)
  const remote = `0200007F:${port.toString(16).toUpperCase().padStart(4, '0')} 02 `
  const attempts = () => readFileSync('/proc/net/tcp', 'utf8').split(remote).length - 1
  const clients = []
  const events = []
  for (let i = 0; i < 20; i++) {
    const client = clientOf(t, ['127.0.0.2', '127.0.0.1'], port, { connectTimeoutMs: 20_000 })
    client.on('disconnected', (reason) => events.push(reason.code))
    clients.push(client)
  }
  const starts = clients.map((client, i) => client.start(`client ${i}`))
  await Promise.all(starts)
  await until(() => server.peerCount === 20)
  await until(() => attempts() === 0, 'the sockets of abandoned attempts are closed')
  t.is(server.counters.accepted, 20)
  t.deepEqual(events, [])
  t.true(clients.every((client) => client.isConnected))
})

test.serial('attempts overlap with manual polling, too', async (t) => {
  const server = await startServer(t)
  const port = server.listeningPort
  await killAddresses(t, ['127.0.0.2'], port)
  const client = clientOf(t, ['127.0.0.2', '127.0.0.1'], port, {
    waitStrategy: 'manual',
    connectTimeoutMs: 20_000
  })
  await client.start('client')
  const peer = await until(() => server.peer('client'))
  const answer = once(client, 'message')
  peer.send(Buffer.from('oui'))
  await pollUntil(client, () => client.counters.messagesReceived === 1)
  t.is(String((await answer)[0]), 'oui')
})

test('a server with several addresses sees each client once, and no duplicate id', async (t) => {
  const server = new ZerioServer({ host: '0.0.0.0', port: 0 })
  t.teardown(() => server.stop())
  await server.start('server')
  const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
  const clients = []
  for (let i = 0; i < 50; i++) clients.push(clientOf(t, addresses, server.listeningPort))
  await Promise.all(clients.map((client, i) => client.start(`client ${i}`)))
  await until(() => server.peerCount === 50)
  // On a busy machine a second attempt begins after 250 ms, but it sends no HELLO.
  const { connected, duplicateIds } = server.counters
  t.deepEqual({ connected, duplicateIds }, { connected: 50, duplicateIds: 0 })
})

test('a client that is refused at one address asks no other', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { authenticate: () => false })
  t.teardown(() => server.stop())
  await server.start('server')
  const other = new ZerioServer({ host: '127.0.0.3', port: server.listeningPort })
  t.teardown(() => other.stop())
  await other.start('other')
  const client = clientOf(t, ['127.0.0.2', '127.0.0.1', '127.0.0.3'], server.listeningPort)
  const error = await t.throwsAsync(client.start('client'), code('ZERIO_UNAUTHORIZED'))
  t.is(error.address, '127.0.0.1')
  await pause(300)
  // On a busy machine there may be another connection that sends no HELLO.
  t.is(other.counters.connected, 0)
})

test('the error names each address when all fail, and has the most informative code', async (t) => {
  const server = await startServer(t)
  const port = server.listeningPort
  await server.stop()
  const client = clientOf(t, ['127.255.255.255', '127.0.0.2', '127.0.0.3'], port)
  const error = await t.throwsAsync(client.start('client'), { instanceOf: ZerioError })
  t.deepEqual(
    error.errors.map((one) => one.address),
    ['127.255.255.255', '127.0.0.2', '127.0.0.3']
  )
  t.true(error.errors.every((one) => one instanceof ZerioError && one.syscall === 'connect'))
  t.true(error.errors.some((one) => one.code === error.code))
  const second = clientOf(t, ['127.0.0.2', '127.0.0.3'], port)
  t.like(await t.throwsAsync(second.start('client'), code('ECONNREFUSED')), { syscall: 'connect', port })
  const single = await t.throwsAsync(clientOf(t, ['127.0.0.2'], port).start('client'), code('ECONNREFUSED'))
  t.is(single.errors, undefined)
})

test('a client alternates address families and tries a duplicate address once', async (t) => {
  const server = await startServer(t)
  const port = server.listeningPort
  await server.stop()
  const client = clientOf(t, ['127.0.0.2', '127.0.0.3', '127.0.0.2', '::1'], port)
  const { errors } = await t.throwsAsync(client.start('client'), { instanceOf: ZerioError })
  t.deepEqual(
    errors.map((one) => one.address),
    ['127.0.0.2', '::1', '127.0.0.3']
  )
})

test('a name without addresses is ENOTFOUND', async (t) => {
  await t.throwsAsync(clientOf(t, [], 1).start('client'), code('ENOTFOUND'))
})

test.serial('connectTimeoutMs covers all addresses together', async (t) => {
  const server = await startServer(t)
  const port = server.listeningPort
  await killAddresses(t, ['127.0.0.2', '127.0.0.3'], port)
  const client = clientOf(t, ['127.0.0.2', '127.0.0.3'], port, { connectTimeoutMs: 400 })
  const begin = performance.now()
  const error = await t.throwsAsync(client.start('client'), code('ZERIO_CONNECT_TIMEOUT'))
  t.true(performance.now() - begin >= 399)
  t.deepEqual(
    error.errors.map((one) => [one.address, one.code]),
    [
      ['127.0.0.2', 'ZERIO_CONNECT_TIMEOUT'],
      ['127.0.0.3', 'ZERIO_CONNECT_TIMEOUT']
    ]
  )
})

test('connectTimeoutMs covers look-up and handshake together', async (t) => {
  const raw = await startRawServer(t)
  const name = nameOf(pause(900).then(() => ['127.0.0.1']))
  const client = new ZerioClient({ host: name, port: raw.port }, { connectTimeoutMs: 1000 })
  const begin = performance.now()
  await t.throwsAsync(client.start('client'), code('ZERIO_CONNECT_TIMEOUT'))
  const tookMs = performance.now() - begin
  t.true(tookMs > 990 && tookMs < 1800, `${tookMs} ms`)
})

test("a look-up that never ends: the time limit or stop ends a client's start, and stop ends a server's", async (t) => {
  const never = new Promise(() => {})
  const late = clientOf(t, never, 1, { connectTimeoutMs: 50 })
  const error = await t.throwsAsync(late.start('client'), code('ZERIO_CONNECT_TIMEOUT'))
  t.like(error, { syscall: 'getaddrinfo', port: 1 })
  const server = new ZerioServer({ host: nameOf(never), port: 0 })
  for (const one of [clientOf(t, never, 1), server]) {
    const start = t.throwsAsync(one.start('x'), code('ZERIO_STOPPED'))
    await pause(1)
    await one.stop()
    await start
  }
})

test('stop between the look-up and the first attempt ends the start', async (t) => {
  const server = await startServer(t)
  // However many turns of the microtask queue the answer takes to its use.
  for (let turns = 0; turns < 16; turns++) {
    let answer
    const addresses = new Promise((resolve) => {
      answer = resolve
    })
    const one =
      turns % 2 === 0
        ? clientOf(t, addresses, server.listeningPort)
        : new ZerioServer({ host: nameOf(addresses), port: 0 })
    let listens = false
    const start = one.start('x').then(
      () => 'started',
      (error) => error.code
    )
    await pause(1)
    answer(['127.0.0.1'])
    for (let i = 0; i < turns; i++) await undefined
    listens = one.listeningPort > 0
    await one.stop()
    t.is(await start, listens ? 'started' : 'ZERIO_STOPPED', `after ${turns} turns`)
    t.is(one.state, 'idle', `after ${turns} turns`)
  }
})

test.serial('stop ends a start whose addresses do not answer', async (t) => {
  const server = await startServer(t)
  const port = server.listeningPort
  const dead = [2, 3, 4, 5, 6, 7].map((number) => `127.0.0.${number}`)
  await killAddresses(t, dead, port)
  for (const addresses of [['127.0.0.2'], [...dead, '127.0.0.1']]) {
    const client = clientOf(t, addresses, port)
    const start = t.throwsAsync(client.start('client'), code('ZERIO_STOPPED'))
    await pause(20)
    const stop = client.stop()
    t.is(client.stop(), stop)
    await t.throwsAsync(client.start('client'), code('ZERIO_STOPPING'))
    await Promise.all([start, stop])
  }
  await pause(300)
  t.is(server.counters.accepted, 0)
})

test('stop during the handshake ends the start', async (t) => {
  const raw = await startRawServer(t)
  for (const addresses of [['127.0.0.1'], ['127.0.0.2', '127.0.0.1']]) {
    const client = clientOf(t, addresses, raw.port)
    const start = t.throwsAsync(client.start('client'), code('ZERIO_STOPPED'))
    const connection = await raw.next()
    await connection.receives(20)
    await Promise.all([client.stop(), start])
    await connection.ends()
  }
})

test('stop in a connected handler: start resolves, the client stops, and a later start works', async (t) => {
  const server = await startServer(t)
  const client = clientOf(t, ['127.0.0.2', '127.0.0.1'], server.listeningPort)
  let stopped
  client.once('connected', () => {
    stopped = client.stop()
  })
  await client.start('client')
  await stopped
  t.false(client.isConnected)
  await until(() => server.peerCount === 0)
  await client.start('client')
  t.true(client.isConnected)
})

test('a server that speaks first is not a zerio server', async (t) => {
  const raw = await startRawServer(t)
  const client = clientOf(t, ['127.0.0.2', '127.0.0.1'], raw.port)
  const start = t.throwsAsync(client.start('client'), code('ZERIO_HANDSHAKE_FAILED'))
  const connection = await raw.next()
  connection.write('220 ready\r\n')
  await start
})

test('without a name to look up, the connection is under way when start returns', async (t) => {
  const server = await startServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
  t.teardown(() => client.stop())
  const starting = client.start('client')
  t.is(client.engine?.backend, server.engine.backend)
  await starting
})

test('a connect that fails at once leaves nothing to the connection that gets its slot', async (t) => {
  const server = await startServer(t, { sendRingBytes: 1 << 20 })
  const nowhere = new ZerioClient({ host: '255.255.255.255', port: 9 }, { sendRingBytes: 1 << 20 })
  await t.throwsAsync(nowhere.start('nowhere'))
  const raw = await connectNative(t, server)
  const peer = await until(() => server.peer('raw'))
  raw.socket.pause()
  const bytes = Buffer.alloc(60_000)
  let sent = 0
  for (let refused = 0; refused < 50; ) {
    if (peer.send(bytes) === SendStatus.Sent) sent++
    else refused++
    await new Promise(setImmediate)
  }
  raw.socket.resume()
  await raw.receives(raw.greetingBytes + sent * (bytes.length + 4))
  t.true(peer.isOpen)
})
