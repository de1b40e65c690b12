// Options and addresses in every form that a program can have: taken as they are meant, or refused by a sentence.

import vm from 'node:vm'
import test from 'ava'
import { ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { GcProbe } from 'zerio/gc'
import { makeClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const sentence = /^[A-Z][^\n]{15,}\.$/

function assertThrows(t, call, code, about) {
  const error = t.throws(call, { instanceOf: ZerioError, code, message: sentence })
  t.true(error?.message.includes(about), `"${error?.message}" has ${about}`)
  return error
}

const makers = {
  ZerioServer: (options) => new ZerioServer(1, options),
  ZerioClient: (options) => new ZerioClient(1, options),
  GcProbe: (options) => new GcProbe(options)
}
const known = { ZerioServer: 'lingerMs', ZerioClient: 'lingerMs', GcProbe: 'topAllocators' }

class Base {
  #value
  constructor(value) {
    this.#value = value
  }
  get lingerMs() {
    return this.#value
  }
  get topAllocators() {
    return this.#value
  }
  toString() {
    return 'settings'
  }
}

for (const [who, make] of Object.entries(makers)) {
  const name = known[who]
  /** Each must be read: a bad value in it is found. */
  const forms = {
    'a plain object': (value) => ({ [name]: value }),
    'an object without a prototype': (value) => Object.assign(Object.create(null), { [name]: value }),
    'an object of another realm': (value) => vm.runInNewContext('({ [name]: value })', { name, value }),
    'a frozen object': (value) => Object.freeze({ [name]: value }),
    'what inherits': (value) => Object.create({ [name]: value }),
    'a getter': (value) => Object.defineProperty({}, name, { get: () => value, enumerable: true }),
    'a property that is not listed': (value) => Object.defineProperty({}, name, { value }),
    'an instance with getters': (value) => new Base(value),
    'a proxy': (value) => new Proxy({ [name]: value }, {}),
    'an object with symbols': (value) => ({ [name]: value, [Symbol('comment')]: 'ours' }),
    'a value beside others that are not given': (value) => ({ [name]: value, nonsense: undefined })
  }
  for (const [form, wrap] of Object.entries(forms)) {
    test(`${who}: options in ${form}`, (t) => {
      t.notThrows(() => make(wrap(5)))
      t.notThrows(() => make(wrap(undefined)))
      for (const bad of ['5', 5n, Number.NaN, Number.POSITIVE_INFINITY, null, -1, Object(5), Symbol('five')])
        assertThrows(t, () => make(wrap(bad)), 'ZERIO_BAD_OPTION', `"${name}"`)
    })
  }

  test(`${who}: refuses what is not an object with options`, (t) => {
    for (const bad of [
      [],
      ['spin'],
      new Map([[name, 5]]),
      new Uint8Array(2),
      Promise.resolve({}),
      null,
      5,
      5n,
      'spin',
      Symbol('x')
    ])
      assertThrows(t, () => make(bad), 'ZERIO_BAD_OPTION', 'Options must be an object')
    assertThrows(t, () => make(vm.runInNewContext('[]')), 'ZERIO_BAD_OPTION', 'Options must be an object')
  })

  test(`${who}: refuses a property that throws when it is read, with the cause`, (t) => {
    const cause = new RangeError('not today')
    const fail = () => {
      throw cause
    }
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    for (const [options, about] of [
      [Object.defineProperty({}, name, { get: fail, enumerable: true }), `"${name}"`],
      [Object.defineProperty({}, 'nonsense', { get: fail, enumerable: true }), '"nonsense"'],
      [new Proxy({}, { get: fail }), 'reading'],
      [new Proxy({}, { ownKeys: fail }), 'names']
    ]) {
      t.is(assertThrows(t, () => make(options), 'ZERIO_BAD_OPTION', about).cause, cause)
    }
    assertThrows(t, () => make(proxy), 'ZERIO_BAD_OPTION', 'names')
    const proxies = [proxy, new Proxy({}, { get: fail })]
    for (const value of proxies) assertThrows(t, () => make({ [name]: value }), 'ZERIO_BAD_OPTION', 'a proxy')
  })

  test(`${who}: an option is read once`, (t) => {
    let times = 0
    const options = {
      get [name]() {
        return ++times === 1 ? 5 : -1
      }
    }
    t.notThrows(() => make(options))
    t.is(times, 1)
  })
}

for (const Class of [ZerioServer, ZerioClient]) {
  test(`${Class.name}: an address in every form`, (t) => {
    class Place {
      get host() {
        return '127.0.0.1'
      }
      get port() {
        return 1
      }
    }
    for (const address of [
      { host: undefined, port: 1 },
      { port: 1, path: undefined },
      Object.assign(Object.create(null), { port: 1 }),
      Object.freeze({ host: 'localhost', port: 1 }),
      vm.runInNewContext('({ port: 1 })'),
      new Place(),
      new Proxy({ port: 1 }, {}),
      { port: 1, [Symbol('comment')]: 'ours' }
    ]) {
      t.notThrows(() => new Class(address))
    }
    const bad = (address, about) => assertThrows(t, () => new Class(address), 'ZERIO_BAD_ARGUMENT', about)
    for (const port of [
      '80',
      80n,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Object(80),
      Symbol('80'),
      new Date(80)
    ]) {
      bad(port, 'port')
      bad({ port }, 'port')
    }
    bad({ host: undefined, port: undefined }, 'port')
    bad(['127.0.0.1', 1], 'port')
    bad(Promise.resolve({ port: 1 }), 'Promise')
    bad(new Map([['port', 1]]), 'Map')
    bad(new URL('tcp://localhost:80'), "'80'")
    for (const host of [Object('localhost'), 5n, Symbol('localhost'), ['localhost']])
      bad({ host, port: 1 }, 'host')
    const fail = () => {
      throw new Error('not today')
    }
    bad(new Proxy({}, { get: fail }), '"host"')
    bad(new Proxy({}, { ownKeys: fail }), 'names')
  })
}

const secret = [1, 2, 3, 255]
const credentials = {
  'a Uint8Array': () => Uint8Array.from(secret),
  'a Buffer': () => Buffer.from(secret),
  'an array of another realm': () => vm.runInNewContext('new Uint8Array([1, 2, 3, 255])'),
  'shared memory': () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(4))
    bytes.set(secret)
    return bytes
  },
  'resizable memory': () => {
    const bytes = new Uint8Array(new ArrayBuffer(4, { maxByteLength: 8 }))
    bytes.set(secret)
    return bytes
  },
  'a subclass that lies': () =>
    new (class extends Uint8Array {
      get length() {
        return 1
      }
      [Symbol.iterator]() {
        return [9][Symbol.iterator]()
      }
    })(secret)
}

test('a credential is copied when the client is made, from every Uint8Array', async (t) => {
  const asked = new Map()
  const server = await startServer(t, {
    authenticate: (id, credential) => {
      asked.set(id, [...credential])
      return true
    }
  })
  for (const [name, make] of Object.entries(credentials)) {
    const credential = make()
    const client = makeClient(t, server, { credential })
    credential.fill(7)
    if (credential.buffer.resizable) credential.buffer.resize(1)
    await client.start(name)
    t.deepEqual(asked.get(name), secret, name)
  }
  const memory = new ArrayBuffer(4)
  const gone = new Uint8Array(memory)
  structuredClone(memory, { transfer: [memory] })
  await makeClient(t, server, { credential: gone }).start('gone')
  t.deepEqual(asked.get('gone'), [])
  for (const credential of [
    new Proxy(Uint8Array.from(secret), {}),
    Object.create(Uint8Array.prototype),
    secret,
    Object('s')
  ])
    assertThrows(t, () => new ZerioClient(1, { credential }), 'ZERIO_BAD_OPTION', 'a string or a Uint8Array')
  const long = Object.defineProperty(new Uint8Array(513), 'length', { value: 4 })
  assertThrows(t, () => new ZerioClient(1, { credential: long }), 'ZERIO_BAD_OPTION', '512')
})

test('authenticate lets a peer in with true, or a promise of it, and nothing else', async (t) => {
  const fail = () => {
    throw new Error('not today')
  }
  const hostile = Object.defineProperty(Promise.resolve(true), 'constructor', { get: fail })
  const answers = [
    Object(true),
    1,
    'true',
    null,
    undefined,
    1n,
    Symbol('yes'),
    vm.runInNewContext('Promise.resolve(1)'),
    vm.runInNewContext('Promise.reject(new Error("no"))'),
    hostile,
    new Proxy({}, { get: fail }),
    Object.defineProperty({}, 'then', { get: fail }),
    Object.create(null)
  ]
  let answer
  const errors = []
  const server = await startServer(t, { authenticate: () => answer }, (one) =>
    one.on('error', (error) => errors.push(error))
  )
  for (answer of answers)
    await t.throwsAsync(makeClient(t, server).start('client'), { code: 'ZERIO_UNAUTHORIZED' })
  await until(() => errors.length === answers.length)
  t.true(errors.every(({ code, message }) => code === 'ZERIO_AUTHENTICATE_FAILED' && sentence.test(message)))
  for (answer of [true, vm.runInNewContext('Promise.resolve(true)')]) {
    const client = makeClient(t, server)
    await client.start('client')
    await client.stop()
    await until(() => server.peerCount === 0)
  }
})
