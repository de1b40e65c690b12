// A bad or late first frame ends its own connection, with a code and a count, and other peers notice nothing.

import { setTimeout as pause } from 'node:timers/promises'
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
  framesOf,
  greeting,
  hello,
  hex,
  OPCODE,
  reject,
  startBystander,
  watch,
  welcome
} from '../helpers/wire_raw.mjs'

const nothing = Buffer.alloc(0)

/** First bytes, the code they get, and what is sent back: REJECT to native ones, nothing to the others. */
const faults = {
  'wrong magic': [hello({ magic: 0x4f49525b }), CODE.malformedHello],
  'version 0': [hello({ version: 0 }), CODE.unsupportedVersion],
  'version 2': [hello({ version: 2 }), CODE.unsupportedVersion],
  'version 2 with fields that version 1 does not know': [
    controlFrame(OPCODE.hello, hex('5a 52 49 4f 02')),
    CODE.unsupportedVersion
  ],
  flags: [hello({ flags: 0x80 }), CODE.malformedHello],
  'extensions that are not there': [hello({ extensionsBytes: 1 }), CODE.malformedHello],
  'a longest message above 16,777,215': [hello({ lengthMax: 2 ** 24 }), CODE.malformedHello],
  'an id length that is too small': [hello({ idBytes: 2 }), CODE.malformedHello],
  'an id length that is too large': [hello({ idBytes: 4 }), CODE.malformedHello],
  'a credential length that is too large': [hello({ credentialBytes: 1 }), CODE.malformedHello],
  'a credential of 513 bytes': [hello({ credential: 'k'.repeat(513) }), CODE.malformedHello],
  'a HELLO without payload': [controlFrame(OPCODE.hello), CODE.malformedHello],
  'a HELLO of 15 bytes': [controlFrame(OPCODE.hello, greeting().subarray(0, 15)), CODE.malformedHello],
  'a HELLO that announces 1,025 bytes': [hex('01 04 00 81'), CODE.malformedHello],
  'a HELLO that announces 16 MiB': [hex('ff ff ff 81'), CODE.malformedHello],
  'an empty id': [hello({ id: '' }), CODE.invalidPeerId],
  'an id of 256 bytes': [hello({ id: 'i'.repeat(256) }), CODE.invalidPeerId],
  'an id that is no UTF-8': [hello({ id: hex('61 ff 62') }), CODE.invalidPeerId],
  'an id with half a surrogate pair': [hello({ id: hex('ed a0 80') }), CODE.invalidPeerId],
  'an id in overlong UTF-8': [hello({ id: hex('c0 80') }), CODE.invalidPeerId],
  'an id with a line break': [hello({ id: 'a\nb' }), CODE.invalidPeerId],
  'an id with a NUL': [hello({ id: 'a\0b' }), CODE.invalidPeerId],
  'an id with DEL': [hello({ id: 'a\x7f' }), CODE.invalidPeerId],
  'an id with a C1 control character': [hello({ id: 'a\u0085' }), CODE.invalidPeerId],
  'WELCOME first': [welcome(), CODE.malformedHello],
  'PING first': [controlFrame(OPCODE.ping, '12345678'), CODE.malformedHello],
  'CLOSE first': [farewell(OPCODE.close, CODE.normal), CODE.malformedHello],
  'an unknown opcode first': [controlFrame(77, 'abc'), CODE.malformedHello],
  'an empty classic id': [dataFrame(''), CODE.invalidPeerId, nothing],
  'a classic id of 256 bytes': [dataFrame('i'.repeat(256)), CODE.invalidPeerId, nothing],
  'a classic id that is not ASCII': [dataFrame('Jörg'), CODE.invalidPeerId, nothing],
  'a classic id with a control character': [dataFrame('a\tb'), CODE.invalidPeerId, nothing],
  'a classic id on a channel': [dataFrame('classic', 1), CODE.invalidPeerId, nothing],
  'an HTTP request': [Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), CODE.invalidPeerId, nothing],
  'a TLS greeting': [hex('16 03 01 02 00 01 00 01 fc 03 03'), CODE.invalidPeerId, nothing]
}

for (const [name, [bytes, code, answer = reject(code)]] of Object.entries(faults)) {
  test(`${name}: the server closes with ${code}`, async (t) => {
    const server = await startServer(t)
    const seen = watch(server)
    const bystander = await startBystander(t, server)
    const raw = await connectRaw(t, server.listeningPort)
    raw.write(Buffer.concat([bytes, dataFrame('must not arrive')]))
    t.deepEqual(await raw.ends(), answer)
    t.is(raw.error, undefined)
    t.deepEqual(
      seen.refused.map((reason) => reason.closeCode),
      [code]
    )
    t.regex(seen.refused[0].code, /^ZERIO_/)
    t.is(server.counters.protocolErrors, 1)
    t.is(server.counters.refused, 1)
    t.is(seen.connected.length, 1)
    raw.socket.end()
    await until(() => server.counters.handshakes === 0)
    await bystander.goesOn()
    t.is(server.counters.messagesReceived, server.peer('bystander').counters.messagesReceived)
  })
}

const goodIds = ['x', 'i'.repeat(255), 'Jörg 😀', ' ', '\u{10ffff}', '\u00a0']
test('a server takes ids at the edge of what is allowed', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  for (const id of goodIds) await connectNative(t, server, id)
  for (const id of [' ~', 'c'.repeat(255)]) {
    const raw = await connectRaw(t, server.listeningPort)
    raw.write(dataFrame(id))
    t.deepEqual(await raw.receives(4 + id.length), dataFrame(id))
  }
  t.deepEqual(
    seen.connected.map(({ id }) => id),
    [...goodIds, ' ~', 'c'.repeat(255)]
  )
})

const late = {
  nothing: [],
  'half a header': [hex('18 00')],
  'a HELLO without its last byte': [hello({ id: 'late' }).subarray(0, -1)],
  'a classic id without its last byte': [dataFrame('late').subarray(0, -1)]
}
for (const [name, pieces] of Object.entries(late)) {
  test(`the server closes a handshake that stops at ${name} in time, without a frame`, async (t) => {
    const server = await startServer(t, { handshakeTimeoutMs: 60 })
    const seen = watch(server)
    const bystander = await startBystander(t, server)
    const raw = await connectRaw(t, server.listeningPort)
    for (const piece of pieces) raw.write(piece)
    t.deepEqual(await raw.ends(), nothing)
    t.like(seen.refused[0], { code: 'ZERIO_HANDSHAKE_TIMEOUT', closeCode: CODE.handshakeTimeout })
    t.is(server.counters.handshakeTimeouts, 1)
    t.is(server.counters.refused, 1)
    t.is(server.counters.protocolErrors, 0)
    await bystander.goesOn()
  })

  test(`the server forgets a client that leaves after ${name}`, async (t) => {
    const server = await startServer(t)
    const seen = watch(server)
    const raw = await connectRaw(t, server.listeningPort)
    for (const piece of pieces) raw.write(piece)
    raw.socket.end()
    t.deepEqual(await raw.ends(), nothing)
    await until(() => seen.refused.length === 1)
    t.is(seen.refused[0].code, 'ZERIO_PEER_LEFT')
    t.is(server.counters.handshakes, 0)
    t.is(server.counters.refused, 1)
  })
}

test('the server forgets a client that resets during its handshake', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hex('18 00'))
  await until(() => server.counters.bytesReceived === 2)
  raw.socket.resetAndDestroy()
  await until(() => seen.refused.length === 1)
  t.is(seen.refused[0].code, 'ECONNRESET')
  t.is(server.counters.handshakes, 0)
})

test('a server takes a HELLO byte by byte, each in a segment of its own', async (t) => {
  // Each byte waits for a turn of the loop, which all tests of this file share.
  const server = await startServer(t, { handshakeTimeoutMs: 60_000 })
  const seen = watch(server)
  const messages = []
  server.on('message', (_id, bytes) => messages.push(bytes.toString()))
  const raw = await connectRaw(t, server.listeningPort)
  const bytes = Buffer.concat([hello({ id: 'slow', credential: 'key' }), dataFrame('first')])
  let sent = 0
  for (const byte of bytes) {
    await until(() => server.counters.bytesReceived === sent || seen.refused.length > 0)
    t.deepEqual(seen.refused, [])
    raw.write(Buffer.from([byte]))
    sent++
  }
  t.deepEqual(await raw.receives(26), welcome())
  await until(() => messages.length === 1)
  t.deepEqual(messages, ['first'])
})

test('a server takes an id that is split over two segments, native and classic', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  let received = 0
  for (const [bytes, answer] of [
    [hello({ id: 'split 😀 native' }), welcome()],
    [dataFrame('split classic'), dataFrame('split classic')]
  ]) {
    const raw = await connectRaw(t, server.listeningPort)
    const middle = bytes.length - 9
    raw.write(bytes.subarray(0, middle))
    received += middle
    await until(() => server.counters.bytesReceived === received)
    raw.write(bytes.subarray(middle))
    received += bytes.length - middle
    t.deepEqual(await raw.receives(answer.length), answer)
  }
  t.deepEqual(
    seen.connected.map(({ id }) => id),
    ['split 😀 native', 'split classic']
  )
})

/** Blocks this thread, so no other test may run meanwhile. */
function standStill(ms) {
  for (const end = performance.now() + ms; performance.now() < end; );
}

test.serial(
  'a thread that stood still reads what has arrived in time before any handshake expires',
  async (t) => {
    const server = await startServer(t, ownEngine({ handshakeTimeoutMs: 500 }))
    const seen = watch(server)
    for (let round = 0; round < 3; round++) {
      const connecting = Array.from({ length: 20 }, () => connectRaw(t, server.listeningPort))
      const raws = await Promise.all(connecting)
      await until(() => server.counters.handshakes === 20)
      raws.forEach((raw, i) => {
        raw.write(hello({ id: `${round} ${i}` }))
      })
      standStill(600)
      await until(() => server.peerCount === 20 || seen.refused.length > 0)
      t.deepEqual(seen.refused, [])
      for (const raw of raws) raw.socket.destroy()
      await until(() => server.peerCount === 0)
    }
  }
)

test.serial(
  'a program that works longer than connectTimeoutMs right after start() is connected',
  async (t) => {
    const server = await startServer(t)
    const client = makeClient(t, server, ownEngine({ connectTimeoutMs: 100 }))
    const started = client.start('busy')
    standStill(200)
    await started
    t.true(client.isConnected)
  }
)

test('manual: a program that polls seldom expires handshakes nevertheless', async (t) => {
  const server = await startServer(t, ownEngine({ waitStrategy: 'manual', handshakeTimeoutMs: 100 }))
  const seen = watch(server)
  const raw = await connectRaw(t, server.listeningPort)
  for (let polls = 0; seen.refused.length === 0; polls++) {
    server.poll()
    if (polls > 10) return t.fail('the handshake does not expire')
    await pause(150)
  }
  t.is(seen.refused[0].code, 'ZERIO_HANDSHAKE_TIMEOUT')
  t.deepEqual(await raw.ends(), nothing)
})

for (const [name, first, answer] of [
  ['HELLO', hello({ id: 'eager' }), welcome()],
  ['classic id', dataFrame('eager'), dataFrame('eager')]
]) {
  test(`${name} and a thousand messages in one segment: connected first, then all in order`, async (t) => {
    const server = await startServer(t)
    const seen = []
    server.on('clientConnected', (id) => seen.push(id))
    server.on('message', (_id, bytes) => seen.push(bytes.toString()))
    const raw = await connectRaw(t, server.listeningPort)
    const texts = Array.from({ length: 1000 }, (_, i) => `message ${i}`)
    raw.write(Buffer.concat([first, ...texts.map((text) => dataFrame(text))]))
    await until(() => seen.length === 1001)
    t.deepEqual(seen, ['eager', ...texts])
    t.deepEqual(await raw.receives(answer.length), answer)
  })
}

for (const classic of [false, true]) {
  const kind = classic ? 'classic' : 'native'
  const first = (id) => (classic ? dataFrame(id) : hello({ id }))
  const answer = (id) => (classic ? dataFrame(id) : welcome())

  test(`the server refuses a duplicate ${kind} id, and the first peer goes on`, async (t) => {
    const server = await startServer(t)
    const seen = watch(server)
    const bystander = await startBystander(t, server, 'twin')
    const raw = await connectRaw(t, server.listeningPort)
    raw.write(Buffer.concat([first('twin'), dataFrame('must not arrive')]))
    t.deepEqual(await raw.ends(), classic ? nothing : reject(CODE.duplicatePeerId))
    t.is(seen.refused[0].code, 'ZERIO_DUPLICATE_PEER_ID')
    t.is(server.counters.duplicateIds, 1)
    t.is(server.counters.refused, 1)
    t.is(server.counters.protocolErrors, 0)
    t.is(seen.connected.length, 1)
    await bystander.goesOn()
    if (classic) return
    const client = makeClient(t, server)
    await t.throwsAsync(client.start('twin'), { code: 'ZERIO_DUPLICATE_PEER_ID' })
    await bystander.goesOn()
  })

  test(`duplicateIds 'replace': a duplicate ${kind} id replaces the first peer`, async (t) => {
    const server = await startServer(t, { duplicateIds: 'replace' })
    const events = []
    server.on('clientConnected', (id) => events.push(`+${id}`))
    server.on('clientDisconnected', (id, reason) => events.push(`-${id} ${reason.code}`))
    const bystander = await startBystander(t, server)
    const old = await connectRaw(t, server.listeningPort)
    old.write(first('twin'))
    await old.receives(answer('twin').length)
    const oldPeer = await until(() => server.peer('twin'))
    const young = await connectRaw(t, server.listeningPort)
    young.write(first('twin'))
    t.deepEqual(await young.receives(answer('twin').length), answer('twin'))
    const last = classic ? nothing : farewell(OPCODE.close, CODE.replaced)
    t.deepEqual(await old.ends(), Buffer.concat([answer('twin'), last]))
    t.deepEqual(events, ['+bystander', '+twin', '-twin ZERIO_REPLACED', '+twin'])
    t.not(server.peer('twin'), oldPeer)
    t.false(oldPeer.isOpen)
    t.is(server.peerCount, 2)
    await bystander.goesOn()
  })
}

test('an id is free again when its peer is gone', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  for (let i = 0; i < 5; i++) {
    const raw = await connectNative(t, server, 'again')
    raw.socket.end()
    await until(() => seen.disconnected.length === i + 1)
  }
  t.is(server.counters.duplicateIds, 0)
})

test('the server rejects more peers than maxPeers, and has room again when one leaves', async (t) => {
  const server = await startServer(t, { maxPeers: 2 })
  const seen = watch(server)
  const bystander = await startBystander(t, server)
  const first = await connectNative(t, server, 'first')
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ id: 'second' }))
  t.deepEqual(await raw.ends(), reject(CODE.serverFull))
  const classic = await connectRaw(t, server.listeningPort)
  classic.write(dataFrame('third'))
  t.deepEqual(await classic.ends(), nothing)
  await t.throwsAsync(makeClient(t, server).start('fourth'), { code: 'ZERIO_SERVER_FULL' })
  t.deepEqual(
    seen.refused.map((reason) => reason.code),
    Array(3).fill('ZERIO_SERVER_FULL')
  )
  t.is(server.counters.serverFull, 3)
  await bystander.goesOn()
  first.socket.end()
  await until(() => seen.disconnected.length === 1)
  await startClient(t, server, 'fifth')
  await bystander.goesOn()
})

test('the server closes the oldest of more handshakes than maxHandshakes, and peers go on', async (t) => {
  const server = await startServer(t, { maxHandshakes: 10, handshakeTimeoutMs: 60_000, lingerMs: 50 })
  const seen = watch(server)
  const bystander = await startBystander(t, server)
  const open = []
  for (let i = 0; i < 10; i++) open.push(await connectRaw(t, server.listeningPort))
  await until(() => server.counters.handshakes === 10)
  const flood = []
  for (let i = 0; i < 200; i++) flood.push(await connectRaw(t, server.listeningPort))
  for (const raw of [...open, ...flood.slice(0, -10)]) t.deepEqual(await raw.ends(), nothing)
  t.is(server.counters.tooManyHandshakes, 200)
  t.is(server.counters.refused, 200)
  t.is(server.counters.handshakes, 10)
  t.true(seen.refused.every((reason) => reason.code === 'ZERIO_TOO_MANY_HANDSHAKES'))
  await bystander.goesOn()
  // One of the last ten sends HELLO.
  flood.at(-1).write(hello({ id: 'patient' }))
  await flood.at(-1).receives(26)
  const client = await startClient(t, server, 'newcomer')
  t.true(client.isConnected)
  await bystander.goesOn()
})

test('stop ends open handshakes', async (t) => {
  const server = await startServer(t, { handshakeTimeoutMs: 60_000 })
  const raws = []
  for (let i = 0; i < 20; i++) raws.push(await connectRaw(t, server.listeningPort))
  await until(() => server.counters.handshakes === 20)
  await server.stop()
  for (const raw of raws) t.deepEqual(framesOf(await raw.ends()), [])
})
