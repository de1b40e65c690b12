// The option `localAddress`: where the connections of a client come from.

import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { until } from '../helpers/until.mjs'

const lookup = (_name, _options, callback) =>
  callback(null, [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 }
  ])

const only4 = (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }])

async function listen(t) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.stop())
  await server.start('server')
  return server
}

async function connect(t, server, localAddress, options = {}) {
  const host = options.lookup === undefined ? '127.0.0.1' : 'both.test'
  const client = new ZerioClient({ host, port: server.listeningPort }, { ...options, localAddress })
  t.teardown(() => client.stop())
  await client.start('client')
  return client
}

test('a connection comes from the given address, and from a port that the system chooses', async (t) => {
  const server = await listen(t)
  const client = await connect(t, server, { host: '127.0.0.1' })
  t.regex(client.localAddress, /^127\.0\.0\.1:[1-9]\d*$/)
  t.is((await until(() => server.peer('client'))).remoteAddress, client.localAddress)
})

test('a connection comes from another address of this machine', async (t) => {
  const server = await listen(t)
  const client = await connect(t, server, { host: '127.0.0.2', port: 0 })
  t.regex(client.localAddress, /^127\.0\.0\.2:\d+$/)
  t.is((await until(() => server.peer('client'))).remoteAddress, client.localAddress)
})

/** A port that no socket has, of those that no system gives to a connection by itself. */
async function freePort() {
  for (;;) {
    const server = new ZerioServer({ host: '127.0.0.1', port: 20_000 + Math.floor(Math.random() * 10_000) })
    try {
      await server.start('probe')
      return server.listeningPort
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error
    } finally {
      await server.stop()
    }
  }
}

test('a connection comes from the given port, and another one to the same server cannot', async (t) => {
  const server = await listen(t)
  const port = await freePort()
  const client = await connect(t, server, { host: '127.0.0.1', port })
  t.is(client.localAddress, `127.0.0.1:${port}`)
  const error = await t.throwsAsync(connect(t, server, { host: '127.0.0.1', port }), { name: 'ZerioError' })
  t.true(['EADDRINUSE', 'EADDRNOTAVAIL'].includes(error.code), error.code)
  t.regex(
    error.message,
    new RegExp(`from 127\\.0\\.0\\.1 port ${port}: E\\w+, the option localAddress must be`)
  )
})

test('a client comes from its port again, to the same server and to another one', async (t) => {
  const server = await listen(t)
  const other = await listen(t)
  const localAddress = { host: '127.0.0.1', port: await freePort() }
  const client = await connect(t, server, localAddress)
  // The server ends the connection, so that the port of the client does not wait for stray packets.
  const left = new Promise((resolve) => client.once('disconnected', resolve))
  server.peer('client').close()
  await left
  await client.stop()
  const next = await connect(t, other, localAddress)
  t.is(next.localAddress, client.localAddress)
  await next.stop()
  await connect(t, await listen(t), localAddress)
})

test('an address that this machine does not have is an error that names the option', async (t) => {
  const server = await listen(t)
  // An address for documentation, which no machine has.
  const error = await t.throwsAsync(connect(t, server, { host: '203.0.113.7' }), { code: 'EADDRNOTAVAIL' })
  t.true(error.message.includes('the option localAddress must be an address of this machine'))
})

test('of a host with both families only the addresses of the same one are tried', async (t) => {
  const server = await listen(t)
  const client = await connect(t, server, { host: '127.0.0.1' }, { lookup })
  t.true(client.localAddress.startsWith('127.0.0.1:'))
  const error = await t.throwsAsync(connect(t, server, { host: '::1' }, { lookup: only4 }), {
    code: 'EAFNOSUPPORT'
  })
  t.is(error.address, 'both.test')
  t.true(error.message.includes('give a localAddress of the other family'))
})

test('a connection comes from an IPv6 address', async (t) => {
  const server = new ZerioServer({ host: '::1', port: 0 })
  t.teardown(() => server.stop())
  await server.start('server')
  const client = new ZerioClient(
    { host: '::1', port: server.listeningPort },
    { localAddress: { host: '::1' } }
  )
  t.teardown(() => client.stop())
  await client.start('client')
  t.regex(client.localAddress, /^\[::1\]:\d+$/)
})

test('a wrong local address is an error at construction', (t) => {
  const make = (localAddress, address = 1) => new ZerioClient(address, { localAddress })
  for (const wrong of [
    '127.0.0.1',
    5,
    [],
    {},
    { host: 'localhost' },
    { host: '::1', port: -1 },
    { host: '::1', x: 1 }
  ])
    t.throws(() => make(wrong), { code: 'ZERIO_BAD_OPTION', message: /"localAddress/ }, JSON.stringify(wrong))
  if (process.platform !== 'win32')
    t.throws(() => make({ host: '::1' }, { path: 'a' }), {
      code: 'ZERIO_BAD_OPTION',
      message: /leave it out for a path/
    })
})

test('a numeric host of the other family is refused at once', (t) => {
  for (const [host, source] of [
    ['127.0.0.1', '::1'],
    ['::1', '127.0.0.1']
  ]) {
    const error = t.throws(() => new ZerioClient({ host, port: 1 }, { localAddress: { host: source } }), {
      code: 'ZERIO_BAD_OPTION'
    })
    t.true(error.message.includes(source) && error.message.includes(host))
  }
})
