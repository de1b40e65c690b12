// The option authenticate: its answer decides on a native or classic newcomer, before anything behind the first frame is read.

import test from 'ava'
import { makeClient, ownEngine, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  controlFrame,
  dataFrame,
  farewell,
  hello,
  OPCODE,
  reject,
  startBystander,
  watch,
  welcome
} from '../helpers/wire_raw.mjs'

const nothing = Buffer.alloc(0)

test('authenticate takes or refuses by id and credential', async (t) => {
  const asked = []
  const server = await startServer(t, {
    authenticate: (id, credential) => {
      asked.push([id, credential.toString('latin1')])
      return credential.toString('latin1') === 'open\xff' || id === 'bystander'
    }
  })
  const seen = watch(server)
  const bystander = await startBystander(t, server)
  const good = await connectRaw(t, server.listeningPort)
  good.write(
    Buffer.concat([hello({ id: 'good', credential: Buffer.from('open\xff', 'latin1') }), dataFrame('x')])
  )
  t.deepEqual((await good.receives(31)).subarray(0, 26), welcome())
  const bad = await connectRaw(t, server.listeningPort)
  bad.write(Buffer.concat([hello({ id: 'bad', credential: 'close' }), dataFrame('must not arrive')]))
  t.deepEqual(await bad.ends(), reject(CODE.unauthorized))
  const classic = await connectRaw(t, server.listeningPort)
  classic.write(dataFrame('classic'))
  t.deepEqual(await classic.ends(), nothing)
  await t.throwsAsync(makeClient(t, server, { credential: 'wrong' }).start('client'), {
    code: 'ZERIO_UNAUTHORIZED'
  })
  t.deepEqual(asked, [
    ['bystander', ''],
    ['good', 'open\xff'],
    ['bad', 'close'],
    ['classic', ''],
    ['client', 'wrong']
  ])
  t.deepEqual(
    seen.connected.map(({ id }) => id),
    ['bystander', 'good']
  )
  t.deepEqual(
    seen.refused.map((reason) => reason.code),
    Array(3).fill('ZERIO_UNAUTHORIZED')
  )
  t.is(server.counters.refused, 3)
  t.is(server.counters.protocolErrors, 0)
  await bystander.goesOn()
  // A refused id is free, and its owner may try again.
  await startClient(t, server, 'bad', { credential: Buffer.from('open\xff', 'latin1') })
})

for (const [what, authenticate, expected] of [
  [
    'throws',
    () => {
      throw new Error('no database')
    },
    /threw/
  ],
  ['is async and answers with nothing', async () => {}, /a promise of one, not undefined/],
  ['is async and rejects', () => Promise.reject(new Error('no database')), /rejected for/],
  ['returns something true', () => 'yes', /'yes'/]
]) {
  test(`an authenticate that ${what} refuses, and the error event says so`, async (t) => {
    const errors = []
    const server = await startServer(t, ownEngine({ authenticate }), (one) =>
      one.on('error', (error) => errors.push(error))
    )
    const seen = watch(server)
    const raw = await connectRaw(t, server.listeningPort)
    raw.write(hello({ id: 'raw', credential: 'key' }))
    t.deepEqual(await raw.ends(), reject(CODE.unauthorized))
    t.is(seen.connected.length, 0)
    t.is(server.peerCount, 0)
    t.is(server.counters.refused, 1)
    t.deepEqual(
      errors.map(({ code }) => code),
      ['ZERIO_AUTHENTICATE_FAILED']
    )
    t.regex(errors[0].message, expected)
    t.regex(errors[0].message, /'raw'/)
    if (/throws|rejects/.test(what)) t.is(errors[0].cause.message, 'no database')
  })
}

test('authenticate is asked before a breach in the same segment is seen, and the breach of a refused client is not counted', async (t) => {
  const server = await startServer(t, { authenticate: (id) => id === 'known' })
  const known = await connectRaw(t, server.listeningPort)
  known.write(Buffer.concat([hello({ id: 'known' }), controlFrame(99)]))
  t.deepEqual(await known.ends(), Buffer.concat([welcome(), farewell(OPCODE.close, CODE.protocolError)]))
  t.is(server.counters.protocolErrors, 1)
  const unknown = await connectRaw(t, server.listeningPort)
  unknown.write(Buffer.concat([hello({ id: 'unknown' }), controlFrame(99)]))
  t.deepEqual(await unknown.ends(), reject(CODE.unauthorized))
  t.is(server.counters.protocolErrors, 1)
  await until(() => server.peerCount === 0)
})

test('messages right behind a HELLO wait for authenticate and all arrive', async (t) => {
  const server = await startServer(t, { authenticate: () => true })
  const order = []
  server.on('clientConnected', (id) => order.push(id))
  server.onMessage = (_peer, buffer, offset, length) =>
    order.push(buffer.toString('utf8', offset, offset + length))
  const raw = await connectRaw(t, server.listeningPort)
  const messages = Array.from({ length: 1000 }, (_, index) => `message ${index}`)
  raw.write(
    Buffer.concat([
      hello({ id: 'eager' }),
      ...messages.map((text) => dataFrame(text)),
      dataFrame('last').subarray(0, 6)
    ])
  )
  await until(() => order.length === 1001)
  raw.write(dataFrame('last').subarray(6))
  await until(() => order.length === 1002)
  t.deepEqual(order, ['eager', ...messages, 'last'])
})

test('a client that authenticate refuses replaces no peer', async (t) => {
  const server = await startServer(t, {
    duplicateIds: 'replace',
    authenticate: (_id, credential) => credential.toString() === 'key'
  })
  const seen = watch(server)
  const owner = await connectNative(t, server, 'owner', { credential: 'key' })
  const thief = await connectRaw(t, server.listeningPort)
  thief.write(hello({ id: 'owner', credential: 'guess' }))
  t.deepEqual(await thief.ends(), reject(CODE.unauthorized))
  t.is(seen.disconnected.length, 0)
  t.false(owner.ended)
})
