// What a program hands to start: a signal that ends it, and a look-up function of its own.
import dns from 'node:dns'
import { once } from 'node:events'
import test from 'ava'
import { ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { startServer } from '../helpers/link.mjs'
import { startRawServer } from '../helpers/wire_raw.mjs'

const aborted = { instanceOf: ZerioError, code: 'ABORT_ERR', name: 'AbortError' }
const never = () => {}

function makeBoth(t, host, options) {
  const both = [new ZerioServer({ host, port: 1 }, options), new ZerioClient({ host, port: 1 }, options)]
  t.teardown(() => Promise.all(both.map((one) => one.stop())))
  return both
}

test('a signal ends a look-up, and its reason is the cause', async (t) => {
  for (const one of makeBoth(t, 'silent.test', { lookup: never })) {
    const abort = new AbortController()
    const start = one.start('id', { signal: abort.signal })
    abort.abort(new Error('enough'))
    const error = await t.throwsAsync(start, aborted)
    t.is(error.cause.message, 'enough')
    t.is(one.state, 'idle')
  }
})

test('a signal that was aborted before lets nothing begin', async (t) => {
  const lookup = () => t.fail('looked up')
  for (const one of makeBoth(t, 'silent.test', { lookup }))
    await t.throwsAsync(one.start('id', { signal: AbortSignal.abort() }), aborted)
})

test('a signal ends a handshake', async (t) => {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port })
  t.teardown(() => client.stop())
  const abort = new AbortController()
  const start = client.start('client', { signal: abort.signal })
  await raw.next()
  abort.abort()
  await t.throwsAsync(start, aborted)
  await client.stop()
  t.is(client.state, 'idle')
})

test('a signal is the start’s alone: it ends no connection, and keeps no listener', async (t) => {
  const { signal } = new AbortController()
  let listeners = 0
  const counting = {
    aborted: false,
    addEventListener: (...args) => {
      listeners++
      signal.addEventListener(...args)
    },
    removeEventListener: (...args) => {
      listeners--
      signal.removeEventListener(...args)
    }
  }
  const server = new ZerioServer({ host: 'localhost', port: 0 })
  t.teardown(() => server.stop())
  await server.start('server', { signal: counting })
  const client = new ZerioClient({ host: server.listeningHost, port: server.listeningPort })
  t.teardown(() => client.stop())
  await client.start('client', { signal: counting })
  t.is(listeners, 0)
  t.is(client.state, 'connected')
  t.is(server.state, 'listening')
  await client.stop()
  t.is(client.state, 'idle')
})

test('what is no signal is refused by a sentence', async (t) => {
  const bad = { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT' }
  for (const one of makeBoth(t, '127.0.0.1', {})) {
    await t.throwsAsync(one.start('id', { signal: 5 }), {
      ...bad,
      message: /signal must be an AbortSignal, not 5/
    })
    await t.throwsAsync(one.start('id', { timeout: 5 }), { ...bad, message: /no "timeout"/ })
    await t.throwsAsync(one.start('id', null), { ...bad, message: /must be an object with a signal/ })
  }
})

test('lookup answers as for net.connect: a list, one address, or an error', async (t) => {
  const server = await startServer(t)
  const connect = async (lookup) => {
    const client = new ZerioClient({ host: 'named.test', port: server.listeningPort }, { lookup })
    t.teardown(() => client.stop())
    await client.start(`client-${Math.random()}`)
    return client
  }
  const list = await connect((_name, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]))
  const single = await connect((_name, _options, done) => setImmediate(done, null, '127.0.0.1', 4))
  t.true(list.isConnected && single.isConnected)
  const refusal = Object.assign(new Error('not today'), { code: 'EAI_AGAIN' })
  const error = await t.throwsAsync(
    connect((_name, _options, done) => done(refusal)),
    { code: 'EAI_AGAIN' }
  )
  t.is(error.cause, refusal)
  await t.throwsAsync(
    connect((_name, _options, done) => done(new Error('no code'))),
    { code: 'ENOTFOUND' }
  )
  await t.throwsAsync(
    connect((_name, _options, done) => done(null, [])),
    { code: 'ENOTFOUND' }
  )
})

test('an answer of lookup that is no address has a code', async (t) => {
  for (const answer of [
    'somewhere',
    5,
    undefined,
    null,
    [{}],
    [null],
    [{ address: 'x' }],
    [{ address: '1.2.3' }],
    [
      {
        get address() {
          throw new Error('hidden')
        }
      }
    ]
  ]) {
    const client = new ZerioClient(
      { host: 'named.test', port: 1 },
      { lookup: (_n, _o, done) => done(null, answer) }
    )
    await t.throwsAsync(
      client.start('id'),
      { instanceOf: ZerioError, code: 'ZERIO_BAD_LOOKUP' },
      typeof answer
    )
  }
})

test('a lookup answers by its callback, and not by a promise', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.stop())
  await server.start('server')
  const address = { host: 'named.test', port: server.listeningPort }
  const wrong = [
    async () => [{ address: '127.0.0.1', family: 4 }],
    async () => {
      throw new Error('no registry')
    },
    // biome-ignore lint/suspicious/noThenProperty: a promise of another library.
    () => ({ then: (resolve) => setImmediate(resolve, '127.0.0.1') })
  ]
  for (const lookup of wrong)
    await t.throwsAsync(new ZerioClient(address, { lookup }).start('id'), {
      instanceOf: ZerioError,
      code: 'ZERIO_BAD_LOOKUP',
      message: /by its callback and not by a promise/
    })
  // An async function may call it.
  const right = [
    async (_name, _options, done) => done(null, '127.0.0.1', 4),
    async (_name, _options, done) => {
      setImmediate(done, null, '127.0.0.1', 4)
    }
  ]
  for (const lookup of right) {
    const client = new ZerioClient(address, { lookup })
    await client.start('id')
    t.true(client.isConnected)
    await client.stop()
  }
})

test('numeric hosts are not looked up, and dns.lookup itself can be the function', async (t) => {
  const server = new ZerioServer({ host: 'localhost', port: 0 }, { lookup: dns.lookup })
  t.teardown(() => server.stop())
  await server.start('server')
  const lookup = () => t.fail('looked up')
  const client = new ZerioClient({ host: server.listeningHost, port: server.listeningPort }, { lookup })
  t.teardown(() => client.stop())
  const connected = once(client, 'connected')
  await client.start('client')
  await connected
  t.pass()
})

test('a look-up that never answers ends with connectTimeoutMs', async (t) => {
  const client = new ZerioClient({ host: 'silent.test', port: 1 }, { lookup: never, connectTimeoutMs: 20 })
  await t.throwsAsync(client.start('id'), {
    code: 'ZERIO_CONNECT_TIMEOUT',
    message: /no name server answered/
  })
})
