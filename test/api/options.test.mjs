// Options and arguments: each mistake throws a ZerioError with a stable code and a sentence that says what is allowed.

import test from 'ava'
import { ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { alwaysThere } from '../helpers/backend.mjs'
import { makeClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const sentence = /^[A-Z][^\n]{15,}\.$/

function assertThrows(t, call, code, about) {
  const error = t.throws(call, { instanceOf: ZerioError, code })
  t.is(error.name, 'ZerioError')
  t.true(error instanceof Error)
  t.regex(error.message, sentence)
  t.true(error.message.includes(about), `"${error.message}" names ${about}`)
}

const integers = {
  spinUs: [1, 1_000_000],
  maxMessageLength: [1, 16_777_215],
  sendRingBytes: [undefined, 512 * 1024 * 1024],
  receiveArenaBytes: [16_384, 64 * 1024 * 1024],
  socketSendBytes: [0, 0x3fffffff],
  socketReceiveBytes: [0, 0x3fffffff],
  lingerMs: [0, 600_000],
  heartbeatMs: [0, 3_600_000],
  idleTimeoutMs: [0, 86_400_000],
  keepAliveMs: [0, 7_200_000],
  userTimeoutMs: [0, 86_400_000]
}
const serverIntegers = {
  maxPeers: [1, 60_000],
  maxHandshakes: [1, 60_000],
  handshakeTimeoutMs: [1, 600_000],
  backlog: [1, 65_535]
}
const clientIntegers = { connectTimeoutMs: [1, 600_000] }

for (const [Class, own] of [
  [ZerioServer, serverIntegers],
  [ZerioClient, clientIntegers]
]) {
  for (const [name, [least, most]] of Object.entries({ ...integers, ...own })) {
    test(`${Class.name}: ${name} is an integer in its range`, (t) => {
      const bad = [1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', null, true, {}, [], 5n, -1, most + 1]
      for (const value of bad)
        assertThrows(t, () => new Class(1, { [name]: value }), 'ZERIO_BAD_OPTION', name)
      if (least > 0) assertThrows(t, () => new Class(1, { [name]: least - 1 }), 'ZERIO_BAD_OPTION', name)
      if (least !== undefined) t.notThrows(() => new Class(1, { [name]: least }))
      t.notThrows(() => new Class(1, { [name]: most }))
      t.notThrows(() => new Class(1, { [name]: undefined }))
    })
  }

  test(`${Class.name}: options that depend on others`, (t) => {
    const bad = (options, about) => assertThrows(t, () => new Class(1, options), 'ZERIO_BAD_OPTION', about)
    bad({ sendRingBytes: 131_072 }, '131080')
    t.notThrows(() => new Class(1, { sendRingBytes: 131_080 }))
    bad({ sendRingBytes: 131_081 }, 'multiple of 8')
    bad({ maxMessageLength: 1000, sendRingBytes: 2000 }, '2008')
    t.notThrows(() => new Class(1, { maxMessageLength: 1000, sendRingBytes: 2008 }))
    bad({ receiveArenaBytes: 20_000 }, 'multiple of 4096')
    for (const [name, least] of Object.entries({
      heartbeatMs: 10,
      idleTimeoutMs: 10,
      keepAliveMs: 1000,
      userTimeoutMs: 1000
    })) {
      bad({ [name]: 1 }, `0 or an integer from ${least} to`)
      bad({ [name]: least - 1 }, name)
      t.notThrows(() => new Class(1, { [name]: least }))
    }
  })

  test(`${Class.name}: choices, flags and functions`, (t) => {
    const bad = (options, about) => assertThrows(t, () => new Class(1, options), 'ZERIO_BAD_OPTION', about)
    for (const value of ['Spin', '', 'fast', 1, null, {}, ['spin']]) bad({ waitStrategy: value }, "'hybrid'")
    for (const value of ['poll', 7, null]) bad({ backend: value }, "'epoll'")
    for (const value of [0, 1, 'true', null]) bad({ noDelay: value }, 'a boolean')
    if (Class === ZerioServer) {
      for (const value of ['keep', true]) bad({ duplicateIds: value }, "'replace'")
      for (const value of ['yes', {}, null]) bad({ authenticate: value }, 'a function')
      for (const name of ['ipv6Only', 'reusePort', 'allowClassic']) bad({ [name]: 1 }, name)
    } else {
      for (const value of ['Classic', 2]) bad({ protocol: value }, "'classic'")
      for (const value of [5, {}, [1], new Uint16Array(1)])
        bad({ credential: value }, 'a string or a Uint8Array')
      bad({ credential: 'x'.repeat(513) }, '512')
      bad({ credential: new Uint8Array(513) }, '512')
      bad({ credential: 'ž'.repeat(257) }, '512')
      t.notThrows(() => new Class(1, { credential: 'x'.repeat(512) }))
      bad({ credential: 'x', protocol: 'classic' }, 'classic has no credentials')
    }
  })

  test(`${Class.name}: an unknown option is named, and so are the known ones`, (t) => {
    for (const name of ['waitStrategie', 'maxmessagelength', 'toString', '__proto_', 'constructor']) {
      assertThrows(t, () => new Class(1, { [name]: 1 }), 'ZERIO_BAD_OPTION', `"${name}"`)
    }
    assertThrows(t, () => new Class(1, { nonsense: 1 }), 'ZERIO_BAD_OPTION', 'waitStrategy, ')
    // Each class has options of its own.
    const foreign = Class === ZerioServer ? { connectTimeoutMs: 5 } : { maxPeers: 5 }
    assertThrows(t, () => new Class(1, foreign), 'ZERIO_BAD_OPTION', Object.keys(foreign)[0])
    const odd = [
      [],
      new Map(),
      new Set(),
      new Date(),
      /x/,
      Buffer.alloc(1),
      Promise.resolve(),
      new Error('x')
    ]
    for (const options of [null, 5, 'spin', true, () => {}, ...odd]) {
      assertThrows(t, () => new Class(1, options), 'ZERIO_BAD_OPTION', 'object')
    }
    t.notThrows(() => new Class(1, {}))
    t.notThrows(() => new Class(1, undefined))
  })

  test(`${Class.name}: port and host`, (t) => {
    const bad = (address, about) => assertThrows(t, () => new Class(address), 'ZERIO_BAD_ARGUMENT', about)
    for (const port of [-1, 65_536, 1.5, Number.NaN, '80', null, undefined, true, {}]) {
      bad(port, 'port')
      bad({ port }, 'port')
    }
    bad({ host: 'localhost' }, 'port')
    for (const host of ['', 5, null, {}, 'x'.repeat(254)]) bad({ host, port: 1 }, 'host')
    bad({ port: 1, path: '/tmp/x' }, 'not "port" and "path" together')
    bad({ port: 1, place: 1 }, '"place"')
    t.notThrows(() => new Class({ port: 1, host: undefined }))
    if (Class === ZerioServer) t.notThrows(() => new Class(0))
    else for (const address of [0, { port: 0 }]) bad(address, 'from 1 to 65535')
  })

  test(`${Class.name}: a later change of the options object has no effect`, (t) => {
    const options = { lingerMs: 5 }
    const object = new Class(1, options)
    options.lingerMs = -1
    t.deepEqual(Object.keys(options), ['lingerMs'])
    t.truthy(object)
  })
}

test('a server without port is a mistake, not port 0', (t) => {
  assertThrows(t, () => new ZerioServer(), 'ZERIO_BAD_ARGUMENT', 'port')
  assertThrows(t, () => new ZerioClient(), 'ZERIO_BAD_ARGUMENT', 'port')
})

test('ids that cannot travel reject start, and the object can start with a good one', async (t) => {
  const server = await startServer(t)
  const idle = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => idle.stop())
  const native = makeClient(t, server)
  const classic = makeClient(t, server, { protocol: 'classic' })
  const bad = { instanceOf: ZerioError, code: 'ZERIO_BAD_PEER_ID', message: sentence }
  for (const id of [
    '',
    'x'.repeat(256),
    'ž'.repeat(128),
    'a\nb',
    'a\0',
    '\x7f',
    '\ud800',
    5,
    null,
    undefined,
    {}
  ]) {
    await t.throwsAsync(native.start(id), bad)
    await t.throwsAsync(idle.start(id), bad)
    await t.throwsAsync(classic.start(id), bad)
  }
  await t.throwsAsync(classic.start('žluť'), bad)
  await idle.start('ž'.repeat(127))
  await native.start('x'.repeat(255))
  await classic.start('y'.repeat(255))
  await until(() => server.peerCount === 2)
  t.is(server.peer('x'.repeat(255)).protocol, 'native')
  t.is(server.peer('y'.repeat(255)).protocol, 'classic')
})

test('the engine says what it is', async (t) => {
  const server = await startServer(t, { backend: alwaysThere, waitStrategy: 'hybrid', spinUs: 10 })
  t.is(server.engine.backend, alwaysThere)
  t.is(server.engine.backendReason, 'asked for by name')
  t.is(server.engine.waitStrategy, 'hybrid')
  const other = await startServer(t)
  t.true(['epoll', 'io_uring', 'kqueue', 'rio', 'winsock'].includes(other.engine.backend))
  t.regex(other.engine.backendReason, /\w+ \w+/)
  t.is(other.engine.waitStrategy, 'blocking')
})

test('objects with equal engine options share an engine, others do not', async (t) => {
  const one = await startServer(t)
  const two = await startServer(t, { lingerMs: 5, spinUs: 77, backend: 'auto', maxPeers: 3 })
  const three = await startServer(t, { receiveArenaBytes: 65_536 })
  t.is(one.engine, two.engine)
  t.not(one.engine, three.engine)
})
