// Bytes in every form that a program can have: the message is right, or the call throws and says what to do.

import vm from 'node:vm'
import test from 'ava'
import { readClock, SendStatus, ZerioError } from 'zerio'
import { collect, pattern, startPair } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const sentence = /^[A-Z][^\n]{15,}\.$/
/** From nothing to lengths for which each way of copying is taken, by loops, words, `set` and native code. */
const lengths = [0, 1, 5, 12, 13, 32, 48, 49, 64, 65, 1000, 20_000]

function filled(bytes, length = bytes.length) {
  pattern(length).forEach((byte, i) => {
    bytes[i] = byte
  })
  return bytes
}

const outside = vm.createContext({})
const arrays = {
  'a Buffer': (length) => Buffer.alloc(length),
  'an array of another realm': (length) => vm.runInContext(`new Uint8Array(${length})`, outside),
  'an array of another realm over shared memory': (length) =>
    vm.runInContext(`new Uint8Array(new SharedArrayBuffer(${length}))`, outside),
  'an array over memory of another realm': (length) =>
    new Uint8Array(vm.runInContext(`new ArrayBuffer(${length + 8})`, outside), 4, length),
  'shared memory': (length) => new Uint8Array(new SharedArrayBuffer(length + 3), 3, length),
  'growable memory, followed': (length) => {
    const memory = new SharedArrayBuffer(length, { maxByteLength: length + 100 })
    return new Uint8Array(memory)
  },
  'growable memory, a part': (length) =>
    new Uint8Array(new SharedArrayBuffer(length + 9, { maxByteLength: length + 100 }), 9, length),
  'resizable memory, followed': (length) =>
    new Uint8Array(new ArrayBuffer(length + 1, { maxByteLength: length + 100 }), 1),
  'resizable memory, a part': (length) =>
    new Uint8Array(new ArrayBuffer(length + 9, { maxByteLength: length + 100 }), 4, length),
  'memory of WebAssembly': (length) =>
    new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 2 }).buffer, 7, length),
  'shared memory of WebAssembly': (length) =>
    new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true }).buffer, 8, length),
  'a subclass': (length) => new (class Bytes extends Uint8Array {})(length),
  'a subclass that lies about everything': (length) => new Liar(length),
  'an array whose length is its own': (length) =>
    Object.defineProperty(new Uint8Array(length), 'length', { value: 4 }),
  'an array that inherits from nothing': (length) => Object.setPrototypeOf(new Uint8Array(length), null),
  'a frozen prototype chain': (length) =>
    Object.setPrototypeOf(new Uint8Array(length), Object.freeze(Object.create(Buffer.prototype)))
}

class Liar extends Uint8Array {
  static get [Symbol.species]() {
    return Array
  }
  get length() {
    return 7
  }
  get byteLength() {
    return 8
  }
  get byteOffset() {
    return 4
  }
  get buffer() {
    return new ArrayBuffer(64)
  }
  get [Symbol.toStringTag]() {
    return 'Float64Array'
  }
  set() {
    throw new Error('set')
  }
  subarray() {
    throw new Error('subarray')
  }
  [Symbol.iterator]() {
    throw new Error('iterator')
  }
}

/** The ways to send all of `bytes`, and a part. */
function ways({ server, client, peer }) {
  return [
    [(bytes) => client.send(bytes), (bytes, from, count) => client.send(bytes, from, count, 1)],
    [(bytes) => peer.send(bytes, 2), (bytes, from, count) => peer.send(bytes, from, count)],
    [
      (bytes) => server.send('client', bytes),
      (bytes, from, count) => server.send('client', bytes, from, count)
    ],
    [(bytes) => server.broadcast(bytes) - 1, (bytes, from, count) => server.broadcast(bytes, from, count) - 1]
  ]
}

for (const [name, make] of Object.entries(arrays)) {
  test(`send takes the right bytes of ${name}`, async (t) => {
    // Room for all of one length, also where the system takes one send at a time.
    const pair = await startPair(t, { sendRingBytes: 8 * 1024 * 1024 })
    const [atServer, atClient] = [collect(pair.server), collect(pair.client)]
    const expected = { server: [], client: [] }
    for (const length of lengths) {
      const bytes = filled(make(length), length)
      const content = pattern(length)
      for (const [index, [all, part]] of ways(pair).entries()) {
        const list = index === 0 ? expected.server : expected.client
        // After the first few sends the array counts as repeated.
        for (let i = 0; i < 7; i++) {
          t.is(all(bytes), SendStatus.Sent)
          list.push(content)
        }
        for (const [from, count] of [
          [0, length],
          [length >> 1, length - (length >> 1)],
          [length, 0]
        ]) {
          t.is(part(bytes, from, count), SendStatus.Sent)
          list.push(content.subarray(from, from + count))
        }
        const wrong = { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT', message: /inside the \d+ bytes/ }
        t.throws(() => part(bytes, 1, length), wrong)
        t.throws(() => part(bytes, length + 1, 0), wrong)
      }
      // Rings are to be large enough for one length at a time.
      await until(() => atServer.length === expected.server.length)
      await until(() => atClient.length === expected.client.length)
    }
    const same = (got, list) => got.every(({ bytes }, i) => bytes.equals(list[i]))
    t.true(same(atServer, expected.server))
    t.true(same(atClient, expected.client))
  })
}

const revoked = Proxy.revocable(new Uint8Array(4), {})
revoked.revoke()
const noArrays = {
  'a proxy': [() => new Proxy(new Uint8Array(20), {}), 'a proxy; pass the array behind it'],
  'a proxy that answers': [
    () => new Proxy(new Uint8Array(20), { get: (target, name) => target[name] }),
    'a proxy; pass the array behind it'
  ],
  'a proxy that throws': [
    () =>
      new Proxy(new Uint8Array(4), {
        get() {
          throw new Error('get')
        },
        getPrototypeOf() {
          throw new Error('getPrototypeOf')
        }
      }),
    'a proxy'
  ],
  'a revoked proxy': [() => revoked.proxy, 'a proxy'],
  'a string': [() => 'text', "'text'; Buffer.from(text) makes one"],
  'an ArrayBuffer': [() => new ArrayBuffer(8), 'new Uint8Array(memory)'],
  'a SharedArrayBuffer': [() => new SharedArrayBuffer(8), 'new Uint8Array(memory)'],
  'an array': [() => [1, 2, 3], 'Uint8Array.from(array)'],
  'an array-like': [() => ({ length: 2, 0: 1, 1: 2 }), 'an object of type Object'],
  'what only inherits': [() => Object.create(Uint8Array.prototype), 'only inherits'],
  'what only inherits, and answers': [
    () => Object.create(Uint8Array.prototype, { length: { value: 20 } }),
    'only inherits'
  ],
  'a renamed Float64Array': [
    () => Object.setPrototypeOf(new Float64Array(4), Uint8Array.prototype),
    'array.byteOffset, array.byteLength'
  ],
  'an object without a prototype': [() => Object.create(null), 'an object of type null'],
  'an object whose constructor throws': [
    () => ({
      get constructor() {
        throw new Error('constructor')
      }
    }),
    'an object'
  ],
  'a Buffer as JSON': [() => Buffer.from('text').toJSON(), 'an object of type Object'],
  'a Blob': [() => new Blob(['text']), 'an object of type Blob'],
  null: [() => null, 'null'],
  undefined: [() => undefined, 'undefined'],
  'a number': [() => 5, '5'],
  'a BigInt': [() => 5n, '5n'],
  'a symbol': [() => Symbol('bytes'), 'Symbol(bytes)'],
  'a function': [() => () => new Uint8Array(4), 'a function']
}
for (const Type of [
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array
])
  noArrays[`a ${Type.name}`] = [() => new Type(4), `${Type.name}; new Uint8Array(array.buffer, `]
noArrays['a DataView'] = [() => new DataView(new ArrayBuffer(8)), 'DataView; new Uint8Array(array.buffer, ']

test('send throws for everything but a Uint8Array, and sends nothing', async (t) => {
  const pair = await startPair(t)
  const [atServer, atClient] = [collect(pair.server), collect(pair.client)]
  for (const [name, [make, about]] of Object.entries(noArrays)) {
    for (const [all, part] of ways(pair)) {
      for (const call of [() => all(make()), () => part(make(), 0, 4)]) {
        const error = t.throws(call, { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT' }, name)
        t.regex(error.message, sentence)
        t.true(error.message.includes(about), `"${error.message}" has ${about}`)
      }
    }
  }
  for (const [all] of ways(pair)) all(Buffer.from('the end'))
  await until(() => atServer.length === 1 && atClient.length === 3)
  t.true([...atServer, ...atClient].every(({ bytes }) => bytes.toString() === 'the end'))
})

test('send throws when offset, length or channel is not a number', async (t) => {
  const { client } = await startPair(t)
  const bytes = new Uint8Array(8)
  const sends = { valueOf: () => client.send(bytes) }
  const wrong = { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT', message: sentence }
  for (const value of [
    '1',
    1n,
    Symbol('one'),
    {},
    [1],
    true,
    Number.NaN,
    1.5,
    -1,
    2 ** 32,
    Infinity,
    sends
  ]) {
    t.throws(() => client.send(bytes, value), wrong)
    t.throws(() => client.send(bytes, value, 1), wrong)
    t.throws(() => client.send(bytes, 0, value), wrong)
    t.throws(() => client.send(bytes, 0, 1, value), wrong)
    if (value !== 2 ** 32) t.throws(() => client.claim(value), wrong)
    t.throws(() => client.claim(1, value), wrong)
  }
  t.throws(() => client.send(bytes, null, 1), wrong)
  t.throws(() => client.send(bytes, 0, null), wrong)
})

/** Sends `bytes` in all ways after each change, and expects what it has at that moment. */
async function sendBetween(t, bytes, steps) {
  const { server, client } = await startPair(t)
  const got = collect(server)
  const expected = []
  for (const step of steps) {
    step()
    for (let i = 0; i < 12; i++) {
      if (bytes.length > 0) bytes[0] = i
      // One that lies outside of its memory has no bytes, and no iterator.
      const content = Buffer.from(Array.from({ length: bytes.length }, (_, at) => bytes[at]))
      expected.push(content, content)
      t.is(client.send(bytes), SendStatus.Sent)
      t.is(client.send(bytes, 0, bytes.length), SendStatus.Sent)
    }
  }
  t.throws(() => client.send(bytes, 0, bytes.length + 1), { code: 'ZERIO_BAD_ARGUMENT' })
  await until(() => got.length === expected.length)
  got.forEach((message, i) => {
    t.deepEqual(message.bytes, expected[i], `message ${i}`)
  })
}

for (const length of [8, 16, 32, 64, 100]) {
  test(`send takes an array of ${length} bytes that follows growing shared memory`, async (t) => {
    const memory = new SharedArrayBuffer(length, { maxByteLength: 200 })
    const bytes = new Uint8Array(memory)
    const grow = (size) => () => {
      memory.grow(size)
      filled(bytes)
    }
    await sendBetween(t, bytes, [() => filled(bytes), grow(length + 4), grow(length + 40), grow(200)])
  })

  test(`send takes an array of ${length} bytes that follows memory of changing length`, async (t) => {
    const memory = new ArrayBuffer(length, { maxByteLength: 200 })
    const bytes = new Uint8Array(memory)
    const resize = (size) => () => {
      memory.resize(size)
      filled(bytes)
    }
    await sendBetween(t, bytes, [() => filled(bytes), ...[4, 0, length, 200, 13, length].map(resize)])
  })

  test(`send takes a part of ${length} bytes of memory that shrinks and grows again`, async (t) => {
    const memory = new ArrayBuffer(length + 4, { maxByteLength: 200 })
    const bytes = new Uint8Array(memory, 4, length)
    const resize = (size) => () => {
      memory.resize(size)
      if (bytes.length > 0) filled(bytes)
    }
    await sendBetween(t, bytes, [() => filled(bytes), ...[length + 3, 200, 2, length + 4].map(resize)])
  })

  test(`an array of ${length} bytes is an empty message once its memory is transferred away`, async (t) => {
    const memory = new ArrayBuffer(length)
    const bytes = new Uint8Array(memory)
    const transfer = () => structuredClone(memory, { transfer: [memory] })
    await sendBetween(t, bytes, [() => filled(bytes), transfer])
  })
}

test('old arrays of a WebAssembly memory that has grown are empty messages', async (t) => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 3 })
  const bytes = new Uint8Array(memory.buffer, 0, 32)
  await sendBetween(t, bytes, [() => filled(bytes), () => memory.grow(1)])
})

test('a repeated array that gets a length property of its own is sent as it is', async (t) => {
  const bytes = new Uint8Array(32)
  const define = () => Object.defineProperty(bytes, 'length', { get: () => 4 })
  const { server, client } = await startPair(t)
  const got = collect(server)
  filled(bytes)
  for (let i = 0; i < 20; i++) client.send(bytes)
  define()
  for (let i = 0; i < 20; i++) client.send(bytes)
  await until(() => got.length === 40)
  t.true(got.every((message) => message.bytes.equals(pattern(32))))
})

test('readClock and copyTo write into a Float64Array of any realm, and into nothing else', async (t) => {
  const { client, server } = await startPair(t)
  const wrong = { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT', message: sentence }
  const arrays = [
    new Float64Array(40),
    new Float64Array(new SharedArrayBuffer(320)),
    new Float64Array(new ArrayBuffer(320, { maxByteLength: 640 })),
    vm.runInContext('new Float64Array(40)', outside)
  ]
  for (const target of arrays) {
    readClock(target)
    readClock(target, 39)
    t.true(target[0] > 0 && target[39] >= target[0])
    for (const index of [-1, 40, 0.5, '0', null, 1n, Number.NaN, Symbol('0')])
      t.throws(() => readClock(target, index), wrong)
    t.is(server.counters.copyTo(target), target)
    t.is(target[server.counters.names.indexOf('accepted')], 1)
  }
  const memory = new ArrayBuffer(320)
  const gone = new Float64Array(memory)
  structuredClone(memory, { transfer: [memory] })
  const proxy = new Proxy(new Float64Array(40), {})
  for (const target of [
    gone,
    proxy,
    new Float32Array(40),
    new Array(40),
    new BigInt64Array(40),
    null,
    undefined
  ]) {
    t.throws(() => readClock(target), wrong)
    t.throws(() => client.counters.copyTo(target), wrong)
  }
  t.throws(() => client.counters.copyTo(new Float64Array(client.counters.names.length - 1)), wrong)
})
