// A client with the option `reconnect`: what it gets over, what ends it, and how it waits.
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { runScript } from '../helpers/child.mjs'
import { collect, ownEngine, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const quick = { delayMs: 5, delayMsMax: 40 }

/** A client that connects again, and what it emits, by name. */
function makeClient(t, port, reconnect = quick, options = {}) {
  const client = new ZerioClient({ host: '127.0.0.1', port }, { reconnect, ...options })
  t.teardown(() => client.stop())
  const events = []
  client.on('connected', () => events.push('connected'))
  client.on('disconnected', (reason) => events.push(`disconnected ${reason.code}`))
  client.on('reconnecting', ({ attempt, reason }) => events.push(`reconnecting ${attempt} ${reason.code}`))
  client.on('reconnectFailed', (error) => events.push(`reconnectFailed ${error.code}`))
  return { client, events }
}

/** Another server on the same port. */
async function restart(t, port, options) {
  const server = new ZerioServer({ host: '127.0.0.1', port }, options)
  t.teardown(() => server.stop())
  await server.start('server')
  return server
}

/** A port on which nothing listens. */
async function freePort(t) {
  const server = await startServer(t)
  const port = server.listeningPort
  await server.stop()
  return port
}

test('the client is back after its server has stopped and started', async (t) => {
  const first = await startServer(t)
  const port = first.listeningPort
  const { client, events } = makeClient(t, port)
  await client.start('client')
  t.is(client.state, 'connected')
  const next = once(client, 'reconnecting')
  await first.stop()
  const [{ attempt, delayMs, reason }] = await next
  t.is(attempt, 1)
  t.true(Number.isInteger(delayMs) && delayMs >= 0 && delayMs <= quick.delayMs)
  t.is(reason.code, 'ZERIO_GOING_AWAY')
  t.is(client.state, 'reconnecting')
  t.false(client.isConnected)
  const second = await restart(t, port)
  const messages = collect(second)
  await until(() => client.isConnected)
  t.is(client.send(Buffer.from('again')), 0)
  await until(() => messages.length === 1)
  t.deepEqual(events.slice(0, 3), [
    'connected',
    'disconnected ZERIO_GOING_AWAY',
    'reconnecting 1 ZERIO_GOING_AWAY'
  ])
  t.is(events.at(-1), 'connected')
  t.true(
    events.slice(3, -1).every((event, i) => event === `reconnecting ${i + 2} ECONNREFUSED`),
    events.join()
  )
})

test('it gets over resets, closes and a server that takes and drops it, as often as they come', async (t) => {
  const server = await startServer(t)
  const { client, events } = makeClient(t, server.listeningPort)
  const ends = [
    (peer) => peer.terminate(),
    (peer) => peer.close(),
    (peer) => peer.close(4001, 'try again'),
    (peer) => peer.terminate()
  ]
  server.on('clientConnected', (_id, peer) => ends.shift()?.(peer))
  await client.start('client')
  await until(() => ends.length === 0 && client.isConnected && server.peerCount === 1)
  t.is(events.filter((event) => event === 'connected').length, 5)
  t.is(events.filter((event) => event.startsWith('disconnected')).length, 4)
  t.true(events.includes('disconnected ZERIO_APPLICATION'))
  t.true(events.filter((event) => event.startsWith('reconnecting')).every((event) => event.includes(' 1 ')))
})

test('delays grow by the factor up to the longest, and attemptsMax ends them', async (t) => {
  const server = await startServer(t)
  const options = { delayMs: 1, delayMsMax: 8, factor: 2, jitter: 0, attemptsMax: 6 }
  const { client, events } = makeClient(t, server.listeningPort, options)
  await client.start('client')
  const delays = []
  client.on('reconnecting', ({ delayMs }) => delays.push(delayMs))
  const failed = once(client, 'reconnectFailed')
  await server.stop()
  const [error] = await failed
  t.true(error instanceof ZerioError)
  t.is(error.code, 'ECONNREFUSED')
  t.deepEqual(delays, [1, 2, 4, 8, 8, 8])
  t.is(client.state, 'idle')
  t.is(events.filter((event) => event.startsWith('reconnectFailed')).length, 1)
  // A program may begin anew.
  await restart(t, error.port)
  await client.start('client')
  t.true(client.isConnected)
})

test('with jitter 1 delays are anything from 0 to the longest', async (t) => {
  const port = await freePort(t)
  const options = { delayMs: 4, delayMsMax: 4, attemptsMax: 60, first: true }
  const { client } = makeClient(t, port, options)
  const delays = new Set()
  client.on('reconnecting', ({ delayMs }) => delays.add(delayMs))
  await t.throwsAsync(client.start('client'), { code: 'ECONNREFUSED' })
  t.deepEqual([...delays].sort(), [0, 1, 2, 3, 4])
})

test('a refusal that will not change ends it', async (t) => {
  const first = await startServer(t)
  const port = first.listeningPort
  const { client, events } = makeClient(t, port)
  await client.start('client')
  await first.stop()
  const failed = once(client, 'reconnectFailed')
  const second = await restart(t, port, { authenticate: () => false })
  const [error] = await failed
  t.is(error.code, 'ZERIO_UNAUTHORIZED')
  t.is(client.state, 'idle')
  t.is(second.counters.accepted, 1)
  t.is(events.at(-1), 'reconnectFailed ZERIO_UNAUTHORIZED')
})

test('who takes the place of another is not fought', async (t) => {
  const server = await startServer(t, { duplicateIds: 'replace' })
  const { client, events } = makeClient(t, server.listeningPort)
  await client.start('twin')
  const failed = once(client, 'reconnectFailed')
  const other = makeClient(t, server.listeningPort).client
  await other.start('twin')
  const [error] = await failed
  t.is(error.code, 'ZERIO_REPLACED')
  t.regex(error.message, /does not connect again/)
  t.deepEqual(events, ['connected', 'disconnected ZERIO_REPLACED', 'reconnectFailed ZERIO_REPLACED'])
  t.true(other.isConnected)
})

test('a duplicate id is tried again, because the old connection may be dying', async (t) => {
  const server = await startServer(t)
  const holder = makeClient(t, server.listeningPort, false).client
  await holder.start('client')
  const { client, events } = makeClient(t, server.listeningPort, { ...quick, first: true })
  const started = client.start('client')
  await until(() => events.length >= 3)
  t.true(events.every((event) => event.endsWith('ZERIO_DUPLICATE_PEER_ID')))
  t.is(client.state, 'starting')
  await holder.stop()
  await started
  t.true(client.isConnected)
})

test('without first, start rejects as ever', async (t) => {
  const { client, events } = makeClient(t, await freePort(t))
  await t.throwsAsync(client.start('client'), { code: 'ECONNREFUSED' })
  t.deepEqual(events, [])
  t.is(client.state, 'idle')
})

test('the program ends it: stop, from outside and in each handler', async (t) => {
  for (const place of ['outside', 'disconnected', 'reconnecting']) {
    const server = await startServer(t)
    const { client, events } = makeClient(t, server.listeningPort, {
      delayMs: 60_000,
      delayMsMax: 60_000,
      jitter: 0
    })
    await client.start('client')
    if (place !== 'outside') client.on(place, () => client.stop())
    const seen = once(client, place === 'outside' ? 'reconnecting' : place)
    await server.stop()
    await seen
    await client.stop()
    t.is(client.state, 'idle', place)
    t.is(events.filter((event) => event.startsWith('reconnectFailed')).length, 0)
    t.is(events.filter((event) => event.startsWith('reconnecting')).length, place === 'disconnected' ? 0 : 1)
  }
})

test('stop during an attempt abandons it', async (t) => {
  const server = await startServer(t)
  let looks = 0
  const lookup = (_name, _options, callback) => {
    if (++looks === 1) callback(null, [{ address: '127.0.0.1', family: 4 }])
  }
  const client = new ZerioClient(
    { host: 'somewhere.test', port: server.listeningPort },
    { reconnect: quick, lookup }
  )
  t.teardown(() => client.stop())
  await client.start('client')
  await server.stop()
  await until(() => looks === 2)
  await client.stop()
  t.is(client.state, 'idle')
})

test('names are looked up for each attempt, so that a server can move', async (t) => {
  const first = await startServer(t)
  const port = first.listeningPort
  const answers = [['127.0.0.1'], ['127.0.0.1'], ['127.0.0.2']]
  const asked = []
  const lookup = (name, { all }, callback) => {
    asked.push(`${name} ${all}`)
    const addresses = answers.length > 1 ? answers.shift() : answers[0]
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 }))
    )
  }
  const client = new ZerioClient({ host: 'moving.test', port }, { reconnect: quick, lookup })
  t.teardown(() => client.stop())
  await client.start('client')
  await first.stop()
  const second = new ZerioServer({ host: '127.0.0.2', port })
  t.teardown(() => second.stop())
  await second.start('server')
  await until(() => client.isConnected)
  t.is(second.peerCount, 1)
  t.true(asked.length >= 3)
  t.true(asked.every((one) => one === 'moving.test true'))
})

test('a signal ends it while it waits', async (t) => {
  const server = await startServer(t)
  const { client, events } = makeClient(t, server.listeningPort, {
    delayMs: 60_000,
    delayMsMax: 60_000,
    jitter: 0
  })
  const abort = new AbortController()
  await client.start('client', { signal: abort.signal })
  await Promise.all([once(client, 'reconnecting'), server.stop()])
  abort.abort()
  await until(() => client.state === 'idle')
  t.deepEqual(events, ['connected', 'disconnected ZERIO_GOING_AWAY', 'reconnecting 1 ZERIO_GOING_AWAY'])
})

test('a signal that was aborted while connected ends no connection, and the next break is the end', async (t) => {
  const server = await startServer(t)
  const { client, events } = makeClient(t, server.listeningPort)
  const abort = new AbortController()
  await client.start('client', { signal: abort.signal })
  abort.abort()
  t.is(client.send(Buffer.from('still here')), 0)
  await Promise.all([once(client, 'disconnected'), server.stop()])
  t.is(client.state, 'idle')
  t.deepEqual(events, ['connected', 'disconnected ZERIO_GOING_AWAY'])
})

test('with manual a client connects again in poll, and delivers nothing elsewhere', async (t) => {
  const options = ownEngine({ waitStrategy: 'manual' })
  const echo = await startServer(t)
  echo.on('clientConnected', (_id, peer) => peer.send(Buffer.from('hello')))
  const first = await startServer(t)
  const port = first.listeningPort
  const { client } = makeClient(t, port, quick, options)
  await client.start('client')
  await first.stop()
  await until(() => client.poll() >= 0 && client.state === 'reconnecting')
  // Another client of the same engine.
  const bystander = new ZerioClient({ host: '127.0.0.1', port: echo.listeningPort }, options)
  t.teardown(() => bystander.stop())
  let polling = false
  const poll = () => {
    polling = true
    const delivered = client.poll()
    polling = false
    return delivered
  }
  const outside = []
  bystander.onMessage = () => outside.push(!polling)
  await restart(t, port)
  await bystander.start('bystander')
  const begun = outside.length
  for (let i = 0; i < 5; i++) {
    echo.peer('bystander').send(Buffer.from('more'))
    await pause(10)
    poll()
  }
  // What has come since is delivered here, too.
  await until(() => poll() >= 0 && client.isConnected)
  t.deepEqual(outside.slice(begun).filter(Boolean), [])
})

test('with manual and first, the process waits for start', async (t) => {
  const { code, stdout } = await runScript(`
    import { ZerioClient } from 'zerio'
    const client = new ZerioClient(1, { waitStrategy: 'manual', reconnect: { first: true, attemptsMax: 3, delayMs: 20 } })
    client.on('reconnecting', ({ attempt }) => console.log(attempt))
    await client.start('client').catch(({ code }) => console.log(code))`)
  t.is(code, 0)
  t.is(stdout, '1\n2\n3\nECONNREFUSED\n')
})

test('nothing is emitted after stop, nor after the signal was aborted', async (t) => {
  for (const ending of ['stop', 'abort']) {
    const server = await startServer(t, { duplicateIds: 'replace' })
    const { client, events } = makeClient(t, server.listeningPort)
    const abort = new AbortController()
    client.on('disconnected', () => (ending === 'stop' ? client.stop() : abort.abort()))
    await client.start('twin', { signal: abort.signal })
    const gone = once(client, 'disconnected')
    const other = makeClient(t, server.listeningPort).client
    await other.start('twin')
    await gone
    await pause(5)
    t.deepEqual(events, ['connected', 'disconnected ZERIO_REPLACED'], ending)
    await client.stop()
  }
})

test('a connected handler may abort the signal: the connection stays', async (t) => {
  const server = await startServer(t)
  const { client, events } = makeClient(t, server.listeningPort)
  const abort = new AbortController()
  client.on('connected', () => abort.abort())
  await client.start('client', { signal: abort.signal })
  await pause(5)
  t.true(client.isConnected)
  t.deepEqual(events, ['connected'])
})

test('each connection has the async context of start, whatever handlers enter', async (t) => {
  const storage = new AsyncLocalStorage()
  const server = await startServer(t)
  server.on('clientConnected', (_id, peer) => peer.send(Buffer.from('hello')))
  const { client } = makeClient(t, server.listeningPort)
  const seen = []
  client.on('reconnecting', () => seen.push(`reconnecting ${storage.getStore()}`))
  client.on('connected', () => seen.push(`connected ${storage.getStore()}`))
  client.onMessage = () => {
    seen.push(`message ${storage.getStore()}`)
    storage.enterWith('entered')
  }
  await storage.run('start', () => client.start('client'))
  await until(() => seen.length === 2)
  server.peer('client').terminate()
  await until(() => seen.length === 5)
  t.deepEqual(seen, [
    'connected start',
    'message start',
    'reconnecting start',
    'connected start',
    'message start'
  ])
})

test('a look-up that throws is a mistake, and not tried again', async (t) => {
  const lookup = () => {
    throw new Error('mine')
  }
  const client = new ZerioClient(
    { host: 'a.test', port: 1 },
    { lookup, reconnect: { ...quick, first: true } }
  )
  const error = await t.throwsAsync(client.start('client'), { code: 'ZERIO_BAD_LOOKUP' })
  t.is(error.cause.message, 'mine')
})

const LIFE = `
import { ZerioClient, ZerioServer } from 'zerio'
const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
await server.start('server')
const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, { reconnect: OPTIONS })
await client.start('client')
client.on('reconnecting', ({ attempt }) => console.log('reconnecting', attempt))
client.on('reconnectFailed', ({ code }) => console.log('reconnectFailed', code))
`

test('a process lives while its client connects again, and ends when it gives up', async (t) => {
  const source = LIFE.replace('OPTIONS', '{ delayMs: 50, jitter: 0, attemptsMax: 2 }')
  const { code, stdout } = await runScript(`${source} await server.stop()`)
  t.is(code, 0)
  t.is(stdout, 'reconnecting 1\nreconnecting 2\nreconnectFailed ECONNREFUSED\n')
})

test('a client without a reference lets it end', async (t) => {
  const source = LIFE.replace('OPTIONS', '{ delayMs: 600_000, delayMsMax: 600_000, jitter: 0 }')
  const { code, stdout } = await runScript(`${source} client.unref(); await server.stop()`)
  t.is(code, 0)
  t.is(stdout, 'reconnecting 1\n')
})

test('a client that loses its reference during an attempt lets it end', async (t) => {
  const source = LIFE.replace('OPTIONS', '{ delayMs: 1 }').replace(
    'ZerioClient({ host',
    "ZerioClient({ host: 'a.test', was"
  )
  const { code, stdout } = await runScript(`
    let looks = 0
    const lookup = (_name, _options, answer) => (++looks === 1 ? answer(null, '127.0.0.1') : client.unref())
    ${source.replace('{ reconnect:', '{ lookup, connectTimeoutMs: 600_000, reconnect:').replace("was: '127.0.0.1', ", '')}
    await server.stop()`)
  t.is(code, 0)
  t.is(stdout, 'reconnecting 1\n')
})

test('an exception of a handler is the program’s, and the client goes on', async (t) => {
  const source = LIFE.replace('OPTIONS', '{ delayMs: 5, jitter: 0, attemptsMax: 2 }')
  const { code, stdout } = await runScript(`${source}
    process.on('uncaughtException', (error, origin) => console.log(origin, error.message))
    client.prependListener('reconnecting', () => { throw new Error('mine') })
    await server.stop()`)
  t.is(code, 0)
  const line = 'uncaughtException mine\n'
  t.is(stdout, `${line}${line}reconnectFailed ECONNREFUSED\n`)
})

test('wrong options have a code and a sentence', (t) => {
  const cases = [
    ['yes', /"reconnect" must be a boolean, or an object/],
    [[], /Options must be an object/],
    [{ delay: 1 }, /no option "reconnect.delay"; there are delayMs/],
    [{ delayMs: 0 }, /"reconnect.delayMs" must be an integer from 1/],
    [{ delayMs: 20_000 }, /"reconnect.delayMsMax" must be at least/],
    [{ factor: 0.5 }, /"reconnect.factor" must be a number from 1 to 100/],
    [{ jitter: Number.NaN }, /"reconnect.jitter" must be a number from 0 to 1/],
    [{ attemptsMax: 0 }, /"reconnect.attemptsMax" must be an integer above 0/],
    [{ attemptsMax: 1.5 }, /"reconnect.attemptsMax" must be/],
    [{ first: 1 }, /"reconnect.first" must be a boolean/]
  ]
  for (const [reconnect, message] of cases)
    t.throws(() => new ZerioClient(1, { reconnect }), { code: 'ZERIO_BAD_OPTION', message })
})
