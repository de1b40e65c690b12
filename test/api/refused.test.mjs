// `refused` says who was refused: the address, and the id where one was read; of several, those of the first.

import test from 'ava'
import { ownEngine, startClient, startServer } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'
import { connectNative, connectRaw, dataFrame, hello } from '../helpers/wire_raw.mjs'

/** What `refused` says, in order. */
function reports(server) {
  const seen = []
  server.on('refused', ({ code }, details) => seen.push({ code, ...details }))
  return seen
}

const addressOf = ({ socket }) => `127.0.0.1:${socket.localPort}`

/** One newcomer that sends `bytes` and is refused: what the server says of it, and where it came from. */
async function refusedFor(t, options, bytes) {
  const server = await startServer(t, options)
  const seen = reports(server)
  const raw = await connectRaw(t, server.listeningPort)
  if (bytes.length > 0) raw.write(bytes)
  await until(() => seen.length > 0)
  return { seen, from: addressOf(raw) }
}

for (const [title, options, bytes, code, peerId] of [
  [
    'authenticate says no',
    { authenticate: () => false },
    hello({ id: 'söme' }),
    'ZERIO_UNAUTHORIZED',
    'söme'
  ],
  ['its HELLO is none', {}, hello({ version: 9, id: 'some' }), 'ZERIO_UNSUPPORTED_VERSION', ''],
  ['its id is none', {}, hello({ id: 'a\0b' }), 'ZERIO_INVALID_PEER_ID', ''],
  ['it says nothing', { handshakeTimeoutMs: 100 }, '', 'ZERIO_HANDSHAKE_TIMEOUT', ''],
  [
    'it is classic and authenticate says no later',
    { authenticate: () => Promise.resolve(false) },
    dataFrame('some'),
    'ZERIO_UNAUTHORIZED',
    'some'
  ],
  [
    'it is classic, which is not allowed',
    { allowClassic: false },
    dataFrame('some'),
    'ZERIO_UNSUPPORTED_VERSION',
    ''
  ]
]) {
  test(`who was refused because ${title}`, async (t) => {
    const { seen, from } = await refusedFor(t, options, bytes)
    t.deepEqual(seen, [{ code, count: 1, remoteAddress: from, peerId }])
  })
}

test('who was refused because a peer has the id, and not that peer', async (t) => {
  const server = await startServer(t)
  const seen = reports(server)
  await connectNative(t, server, 'twice')
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ id: 'twice' }))
  await until(() => seen.length > 0)
  t.deepEqual(seen, [
    { code: 'ZERIO_DUPLICATE_PEER_ID', count: 1, remoteAddress: addressOf(raw), peerId: 'twice' }
  ])
})

test('an id of the greatest length arrives whole, and the next one has nothing of it', async (t) => {
  const server = await startServer(t, { authenticate: () => false })
  const seen = reports(server)
  for (const id of ['x'.repeat(255), 'y']) {
    const raw = await connectRaw(t, server.listeningPort)
    raw.write(hello({ id }))
    await raw.ends()
  }
  await until(() => seen.length === 2)
  t.deepEqual(
    seen.map(({ peerId }) => peerId),
    ['x'.repeat(255), 'y']
  )
})

test('a report of several has the first of them, after a server that was refused more often than is reported', async (t) => {
  const server = await startServer(t, { authenticate: () => false, lingerMs: 10_000 })
  const seen = reports(server)
  const from = []
  for (let i = 0; i < 130; i++) {
    const raw = await connectRaw(t, server.listeningPort)
    from.push(addressOf(raw))
    raw.write(hello({ id: `n${i}` }))
    await until(() => server.counters.refused === i + 1)
  }
  const sum = () => seen.reduce((all, { count }) => all + count, 0)
  await until(() => sum() === 130)
  let first = 0
  for (const { count, peerId, remoteAddress } of seen) {
    t.is(peerId, `n${first}`)
    t.is(remoteAddress, from[first])
    first += count
  }
})

test('what is reported at once in one batch keeps its own names', async (t) => {
  const server = await startServer(t, ownEngine({ waitStrategy: 'manual', authenticate: () => false }))
  const seen = reports(server)
  const raws = []
  for (let i = 0; i < 40; i++) raws.push(await connectRaw(t, server.listeningPort))
  for (const [i, raw] of raws.entries()) raw.write(hello({ id: `n${i}` }))
  await pollUntil(server, () => seen.length === raws.length)
  for (const { peerId, remoteAddress } of seen) t.is(remoteAddress, addressOf(raws[Number(peerId.slice(1))]))
})

test('a program that overwrites the events learns nothing and breaks nothing', async (t) => {
  const manual = ownEngine({ waitStrategy: 'manual' })
  const server = await startServer(t, manual)
  const seen = reports(server)
  const client = await startClient(t, server, 'client', manual)
  let heard = 0
  server.onMessage = (_, buffer) => {
    if (heard++ > 0) return
    const events = 1024 + 64 * 256 + 65536 * 4
    const memory = new DataView(buffer.buffer)
    memory.setInt32(4, 4, true)
    for (const [at, place] of [0, 2 ** 30, -1].entries()) {
      for (const [word, value] of [8, 0, place, 0, 0, 1018, 0, 1].entries())
        memory.setInt32(events + (at + 1) * 32 + word * 4, value, true)
    }
  }
  client.send(Buffer.alloc(10))
  await pollUntil(server, () => heard === 1)
  const expected = { code: 'ZERIO_UNAUTHORIZED', count: 1, remoteAddress: '', peerId: '' }
  t.deepEqual(seen, [expected, expected, expected])
  client.send(Buffer.alloc(10))
  await pollUntil(server, () => heard === 2)
})
