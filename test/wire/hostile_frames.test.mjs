// A peer that breaks the protocol after its handshake ends its own connection, with a code, and other peers notice nothing.

import test from 'ava'
import { randomFrom, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  controlFrame,
  dataFrame,
  farewell,
  framesOf,
  hello,
  hex,
  inHex,
  OPCODE,
  startBystander,
  watch,
  welcome
} from '../helpers/wire_raw.mjs'

const LENGTH_MAX = 1000
const before = dataFrame('before')

const breaches = {
  'a message one byte too long': [dataFrame(Buffer.alloc(LENGTH_MAX + 1)), CODE.messageTooLong],
  'the header of a message of 16 MiB': [hex('ff ff ff 00'), CODE.messageTooLong],
  'a message too long on a channel': [dataFrame(Buffer.alloc(LENGTH_MAX + 1), 127), CODE.messageTooLong],
  'opcode 0': [controlFrame(0), CODE.protocolError],
  'opcode 7': [controlFrame(7, 'what'), CODE.protocolError],
  'opcode 127': [controlFrame(127), CODE.protocolError],
  'a header of ones': [hex('ff ff ff ff'), CODE.protocolError],
  'a second HELLO': [hello({ id: 'raw' }), CODE.protocolError],
  'a WELCOME': [welcome(), CODE.protocolError],
  'a REJECT': [farewell(OPCODE.reject, CODE.normal), CODE.protocolError],
  'a PING of 7 bytes': [controlFrame(OPCODE.ping, '1234567'), CODE.protocolError],
  'a PING of 9 bytes': [controlFrame(OPCODE.ping, '123456789'), CODE.protocolError],
  'an empty PING': [controlFrame(OPCODE.ping), CODE.protocolError],
  'a PONG of 7 bytes': [controlFrame(OPCODE.pong, '1234567'), CODE.protocolError],
  'an empty CLOSE': [controlFrame(OPCODE.close), CODE.protocolError],
  'a CLOSE of 1 byte': [controlFrame(OPCODE.close, 'x'), CODE.protocolError],
  'a CLOSE with a reason of 257 bytes': [farewell(OPCODE.close, 4000, 'r'.repeat(257)), CODE.protocolError],
  'a CLOSE whose reason is no UTF-8': [farewell(OPCODE.close, 4000, hex('ff')), CODE.protocolError],
  'a CLOSE with a code of ours': [farewell(OPCODE.close, 2005), CODE.protocolError],
  'a control frame of 1,025 bytes': [controlFrame(OPCODE.close, Buffer.alloc(1025)), CODE.protocolError]
}
const names = {
  [CODE.messageTooLong]: 'ZERIO_MESSAGE_TOO_LONG',
  [CODE.protocolError]: 'ZERIO_PROTOCOL_ERROR'
}

for (const [name, [bytes, code]] of Object.entries(breaches)) {
  for (const split of [false, true]) {
    test(`${name}${split ? ', split' : ''}: CLOSE ${code}`, async (t) => {
      const server = await startServer(t, { maxMessageLength: LENGTH_MAX })
      const seen = watch(server)
      const bystander = await startBystander(t, server)
      const raw = await connectNative(t, server)
      const messages = []
      server.on('message', (id, message) => id === 'raw' && messages.push(message.toString()))
      if (split) {
        raw.write(Buffer.concat([before, bytes.subarray(0, 3)]))
        await until(() => messages.length === 1)
        raw.write(Buffer.concat([bytes.subarray(3), dataFrame('after')]))
      } else {
        raw.write(Buffer.concat([before, bytes, dataFrame('after')]))
      }
      const frames = framesOf((await raw.ends()).subarray(raw.greetingBytes))
      t.is(raw.error, undefined)
      // The echo of what came before, and CLOSE last.
      const expected = framesOf(Buffer.concat([before, farewell(OPCODE.close, code)]))
      t.true(frames.length === 1 || frames.length === 2, inHex(raw.bytes))
      t.deepEqual(frames, expected.slice(-frames.length))
      t.deepEqual(messages, ['before'])
      await until(() => seen.disconnected.length === 1)
      t.like(seen.disconnected[0], {
        id: 'raw',
        reason: { code: names[code], closeCode: code, local: false }
      })
      t.is(server.counters.protocolErrors, 1)
      t.is(server.counters.refused, 0)
      t.is(server.counters.peers, 1)
      await bystander.goesOn()
    })
  }
}

const classicBreaches = {
  'a message too long': [dataFrame(Buffer.alloc(LENGTH_MAX + 1)), CODE.messageTooLong],
  'a length of 16 MiB and 5, which looks like channel 1': [
    hex('05 00 00 01 61 62 63 64 65'),
    CODE.messageTooLong
  ],
  'the longest positive length': [hex('ff ff ff 7f'), CODE.messageTooLong],
  'a negative length': [hex('ff ff ff ff'), CODE.protocolError],
  'a PING': [controlFrame(OPCODE.ping, '12345678'), CODE.protocolError],
  'a CLOSE': [farewell(OPCODE.close, CODE.normal), CODE.protocolError],
  'a HELLO': [hello(), CODE.protocolError]
}
for (const [name, [bytes, code]] of Object.entries(classicBreaches)) {
  test(`classic, ${name}: end of stream without a frame`, async (t) => {
    const server = await startServer(t, { maxMessageLength: LENGTH_MAX })
    const seen = watch(server)
    const bystander = await startBystander(t, server)
    const raw = await connectRaw(t, server.listeningPort)
    const messages = []
    server.on('message', (id, message) => id === 'raw' && messages.push(message.toString()))
    raw.write(dataFrame('raw'))
    await raw.receives(7)
    raw.write(Buffer.concat([before, bytes, dataFrame('after')]))
    const frames = framesOf(await raw.ends())
    t.true(frames.length <= 2 && frames.every((frame) => !frame.control))
    t.deepEqual(messages, ['before'])
    await until(() => seen.disconnected.length === 1)
    t.is(seen.disconnected[0].reason.code, names[code])
    t.is(server.counters.protocolErrors, 1)
    await bystander.goesOn()
  })
}

test('allowed frames are not a breach', async (t) => {
  const server = await startServer(t, { maxMessageLength: LENGTH_MAX })
  const messages = []
  server.on('message', (_id, message, channel) => messages.push([message.length, channel]))
  const raw = await connectNative(t, server)
  const allowed = [
    dataFrame(Buffer.alloc(LENGTH_MAX), 127),
    controlFrame(OPCODE.pong, '12345678'),
    controlFrame(OPCODE.pong, 'nothing.'),
    dataFrame('')
  ]
  raw.write(Buffer.concat(allowed))
  raw.write(controlFrame(OPCODE.ping, 'the last'))
  const answer = controlFrame(OPCODE.pong, 'the last')
  t.deepEqual((await raw.receives(raw.greetingBytes + 12)).subarray(raw.greetingBytes), answer)
  await until(() => messages.length === 2)
  t.deepEqual(messages, [
    [LENGTH_MAX, 127],
    [0, 0]
  ])
  t.is(server.counters.protocolErrors, 0)
})

test('a CLOSE may have the longest reason, and nothing behind it is delivered', async (t) => {
  const server = await startServer(t)
  const seen = watch(server)
  let messages = 0
  server.on('message', () => messages++)
  const raw = await connectNative(t, server)
  raw.write(Buffer.concat([before, farewell(OPCODE.close, 4999, 'ö'.repeat(128)), dataFrame('after')]))
  await until(() => seen.disconnected.length === 1)
  t.like(seen.disconnected[0].reason, {
    code: 'ZERIO_APPLICATION',
    closeCode: 4999,
    message: 'ö'.repeat(128)
  })
  t.is(messages, 1)
  t.is(server.counters.protocolErrors, 0)
})

test('a flood of PINGs whose answers are not read costs no memory and does not delay other peers', async (t) => {
  const server = await startServer(t, { socketSendBytes: 8192, lingerMs: 50 })
  const seen = watch(server)
  const bystander = await startBystander(t, server)
  const raw = await connectNative(t, server)
  raw.socket.pause()
  const flood = Buffer.concat(Array.from({ length: 5000 }, () => controlFrame(OPCODE.ping, '12345678')))
  const FLOODS = 100
  const heap = process.memoryUsage().external
  const received = server.counters.bytesReceived
  for (let i = 0; i < FLOODS; i++) {
    if (!raw.socket.write(flood)) await new Promise((resolve) => raw.socket.once('drain', resolve))
  }
  await until(() => server.counters.bytesReceived - received >= FLOODS * flood.length)
  await bystander.goesOn()
  t.true(process.memoryUsage().external - heap < 64 * 2 ** 20)
  t.is(seen.disconnected.length, 0)
  // The connection still works: everything read, the answers are whole and a new PING has one.
  raw.socket.resume()
  await until(() => raw.bytes.length > raw.greetingBytes)
  // As long as the old answers leave no room, a new one is lost.
  await until(() => {
    raw.write(controlFrame(OPCODE.ping, 'laterPNG'))
    return raw.bytes.subarray(-8).toString() === 'laterPNG'
  })
  const frames = framesOf(raw.bytes.subarray(raw.greetingBytes))
  t.true(
    frames.every((frame) => frame.control && frame.channel === OPCODE.pong && frame.payload.length === 8)
  )
  t.true(frames.length < FLOODS * 5000)
})

test('the answers to PINGs between messages stand whole between the echoes', async (t) => {
  const server = await startServer(t)
  server.onMessage = (peer, buffer, offset, length, channel) => peer.send(buffer, offset, length, channel)
  const raw = await connectNative(t, server)
  const parts = []
  for (let i = 0; i < 2000; i++) {
    parts.push(dataFrame(`message ${i}`, i & 127))
    if (i % 100 === 0) parts.push(controlFrame(OPCODE.ping, String(i).padStart(8)))
  }
  const sent = Buffer.concat(parts)
  raw.write(sent)
  const frames = framesOf((await raw.receives(raw.greetingBytes + sent.length)).subarray(raw.greetingBytes))
  const expected = framesOf(sent).map((frame) => (frame.control ? { ...frame, channel: OPCODE.pong } : frame))
  for (const control of [false, true]) {
    t.deepEqual(
      frames.filter((frame) => frame.control === control),
      expected.filter((frame) => frame.control === control)
    )
  }
})

test('random garbage ends its own connections only', async (t) => {
  const server = await startServer(t, { maxMessageLength: LENGTH_MAX, lingerMs: 100 })
  const seen = watch(server)
  const bystander = await startBystander(t, server)
  const random = randomFrom(20260101)
  const garbage = (length) => Buffer.from(Array.from({ length }, () => random(256)))
  const raws = []
  for (let i = 0; i < 60; i++) {
    const raw =
      i % 2 === 0 ? await connectNative(t, server, `raw ${i}`) : await connectRaw(t, server.listeningPort)
    raws.push(raw)
    // Headers that say what follows get deeper than noise does.
    for (let n = random(20); n > 0; n--) raw.write(dataFrame(garbage(random(50)), random(128)))
    raw.write(garbage(4000))
    raw.socket.end()
  }
  for (const raw of raws) await raw.ends()
  await until(() => server.counters.peers === 1 && server.counters.handshakes === 0)
  t.is(seen.disconnected.length + seen.refused.length, 60)
  t.is(server.counters.accepted, 61)
  t.deepEqual(seen.errors, [])
  await bystander.goesOn()
})
