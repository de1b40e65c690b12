// The bytes on the wire, exactly: each frame that a server and a client write, and the examples of docs/protocol.md.

import { readFile } from 'node:fs/promises'
import test from 'ava'
import { SendStatus, ZerioClient } from 'zerio'
import { startServer } from '../helpers/link.mjs'
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
  inHex,
  OPCODE,
  startRawServer,
  TOPICS,
  watch,
  welcome
} from '../helpers/wire_raw.mjs'

const page = await readFile(new URL('../../docs/protocol.md', import.meta.url), 'utf8')
const examples = Object.fromEntries(
  [...page.matchAll(/^\| ([^|]+) \| `((?:[0-9a-f]{2} ?)+)` \|$/gm)].map(([, name, bytes]) => [name, bytes])
)

async function startRawPair(t, options) {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port }, options)
  t.teardown(() => client.stop())
  const starting = client.start('client-1')
  return { client, starting, raw: await raw.next() }
}

test('a native client writes the documented bytes', async (t) => {
  const { client, starting, raw } = await startRawPair(t)
  t.is(inHex(await raw.receives(32)), examples['HELLO with TOPICS'])
  t.deepEqual(hex(examples['HELLO with TOPICS']), hello({ id: 'client-1', extensions: TOPICS }))
  raw.write(hex(examples['WELCOME with TOPICS']))
  await starting
  t.is(client.serverId, 'server')
  client.send(Buffer.from('oui'))
  client.send(Buffer.from('oui'), 5)
  client.send(Buffer.alloc(0))
  client.send(Buffer.from('x'), 127)
  const expected = [
    examples['HELLO with TOPICS'],
    examples['message `oui`'],
    examples['message `oui` on channel 5'],
    examples['empty message'],
    '01 00 00 7f 78'
  ]
  t.is(inHex(await raw.receives(32 + 7 + 7 + 4 + 5)), expected.join(' '))
  raw.write(hex(examples.PING))
  t.is(inHex(await raw.receives(67)), [...expected, examples.PONG].join(' '))
  const stopped = client.stop()
  t.is(inHex(await raw.ends()), [...expected, examples.PONG, examples['CLOSE: 1000']].join(' '))
  raw.socket.end()
  await stopped
})

test('a HELLO carries the credential and the longest message', async (t) => {
  const { starting, raw } = await startRawPair(t, { credential: 'secret', maxMessageLength: 100 })
  const expected = hello({ id: 'client-1', credential: 'secret', lengthMax: 100, extensions: TOPICS })
  t.deepEqual(await raw.receives(38), expected)
  raw.write(welcome())
  await starting
})

test('a classic client writes the bytes of the C# Zerio', async (t) => {
  const { client, starting, raw } = await startRawPair(t, { protocol: 'classic' })
  const id = examples['classic id, and its answer']
  t.is(inHex(await raw.receives(12)), id)
  raw.write(hex(id))
  await starting
  t.is(client.serverId, '')
  client.send(Buffer.from('oui'))
  t.is(client.send(Buffer.from('oui'), 5), SendStatus.ChannelUnsupported)
  client.send(Buffer.alloc(0))
  const stopped = client.stop()
  t.is(inHex(await raw.ends()), `${id} ${examples['message `oui`']} ${examples['empty message']}`)
  raw.socket.end()
  await stopped
})

test('a server writes the documented bytes to a native peer', async (t) => {
  const server = await startServer(t, {}, watch)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hex(examples.HELLO))
  t.is(inHex(await raw.receives(26)), examples.WELCOME)
  t.deepEqual(hex(examples.WELCOME), welcome())
  const peer = await until(() => server.peer('client-1'))
  peer.send(Buffer.from('oui'))
  peer.send(Buffer.from('oui'), 5)
  peer.send(Buffer.alloc(0))
  const messages = [
    examples['message `oui`'],
    examples['message `oui` on channel 5'],
    examples['empty message']
  ]
  t.is(inHex(await raw.receives(44)), [examples.WELCOME, ...messages].join(' '))
  raw.write(hex(examples.PING))
  t.is(inHex(await raw.receives(56)), [examples.WELCOME, ...messages, examples.PONG].join(' '))

  const second = await connectRaw(t, server.listeningPort)
  second.write(hex(examples.HELLO))
  t.is(inHex(await second.ends()), examples['REJECT: the id is taken'])
  // The server asks the holder of the id whether it still lives, with 8 bytes of its own.
  const asked = inHex((await raw.receives(68)).subarray(56))
  t.is(asked.slice(0, 11), examples.PING.slice(0, 11))

  peer.close(4001, 'bye')
  t.is(
    inHex(await raw.ends()),
    [examples.WELCOME, ...messages, examples.PONG, asked, examples['CLOSE: 4001 `bye`']].join(' ')
  )
})

test('requests for topics and their answers are the documented bytes', async (t) => {
  const server = await startServer(t)
  server.topic('fx')
  server.onSubscribe = (_peer, name) => name === 'fx'
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hex(examples['HELLO with TOPICS']))
  t.is(inHex(await raw.receives(30)), examples['WELCOME with TOPICS'])
  raw.write(hex(examples['SUBSCRIBE: 7 `fx`']))
  t.is(inHex((await raw.receives(40)).subarray(30)), examples['SUBSCRIPTION: 7 is done'])
  t.is(server.topic('fx').size, 1)
  raw.write(hex(examples['UNSUBSCRIBE: 8 `fx`']))
  t.is(inHex((await raw.receives(50)).subarray(40)), examples['SUBSCRIPTION: 8 is done'])
  t.is(server.topic('fx').size, 0)
  server.onSubscribe = null
  raw.write(hex(examples['SUBSCRIBE: 7 `fx`']))
  t.is(inHex((await raw.receives(60)).subarray(50)), examples['SUBSCRIPTION: 7 is refused'])
})

test('a server writes the bytes of the C# Zerio to a classic peer, and no frame at its end', async (t) => {
  const server = await startServer(t)
  const raw = await connectRaw(t, server.listeningPort)
  const id = examples['classic id, and its answer']
  raw.write(hex(id))
  t.is(inHex(await raw.receives(12)), id)
  const peer = await until(() => server.peer('client-1'))
  t.is(peer.protocol, 'classic')
  t.is(peer.send(Buffer.from('oui')), SendStatus.Sent)
  t.is(peer.send(Buffer.from('oui'), 1), SendStatus.ChannelUnsupported)
  peer.close(4001, 'bye')
  t.is(inHex(await raw.ends()), `${id} ${examples['message `oui`']}`)
})

test('a server announces its own limit in WELCOME and keeps the one of HELLO', async (t) => {
  const server = await startServer(t, { maxMessageLength: 100 })
  const raw = await connectNative(t, server, 'raw', { lengthMax: 10 })
  t.deepEqual(raw.bytes, welcome({ lengthMax: 100 }))
  const peer = await until(() => server.peer('raw'))
  t.is(peer.send(Buffer.alloc(11)), SendStatus.TooLarge)
  t.is(peer.send(Buffer.alloc(10, 'x')), SendStatus.Sent)
  t.deepEqual(
    (await raw.receives(raw.greetingBytes + 14)).subarray(raw.greetingBytes),
    dataFrame('xxxxxxxxxx')
  )
})

test('data frames of all channels are read and written with their channel', async (t) => {
  const server = await startServer(t)
  server.onMessage = (peer, buffer, offset, length, channel) => peer.send(buffer, offset, length, channel)
  const raw = await connectNative(t, server)
  const sent = Buffer.concat(
    Array.from({ length: 128 }, (_, channel) => dataFrame(`channel ${channel}`, channel))
  )
  raw.write(sent)
  t.deepEqual((await raw.receives(raw.greetingBytes + sent.length)).subarray(raw.greetingBytes), sent)
})

test('server.stop sends CLOSE 1001 to native peers', async (t) => {
  const server = await startServer(t)
  const raw = await connectNative(t, server)
  const stopped = server.stop()
  const frames = await raw.framesUntilEnd()
  t.deepEqual(frames[1], { control: true, channel: OPCODE.close, payload: Buffer.from([0xe9, 0x03]) })
  raw.socket.end()
  await stopped
})

test('a client reports codes and reasons of REJECT and CLOSE', async (t) => {
  const refused = await startRawPair(t)
  refused.raw.write(farewell(OPCODE.reject, CODE.serverFull, 'come back later'))
  const error = await t.throwsAsync(refused.starting, { code: 'ZERIO_SERVER_FULL' })
  t.regex(error.message, /come back later/)

  const closed = await startRawPair(t)
  const reasons = []
  closed.client.on('disconnected', (reason) => reasons.push(reason))
  closed.raw.write(Buffer.concat([welcome(), farewell(OPCODE.close, 4321, 'schöner Grund')]))
  await closed.starting
  await until(() => reasons.length > 0)
  t.like(reasons[0], { code: 'ZERIO_APPLICATION', closeCode: 4321, message: 'schöner Grund', local: false })

  const unknown = await startRawPair(t)
  unknown.client.on('disconnected', (reason) => reasons.push(reason))
  unknown.raw.write(Buffer.concat([welcome(), farewell(OPCODE.close, 1999)]))
  await unknown.starting
  await until(() => reasons.length > 1)
  t.like(reasons[1], { code: 'ZERIO_UNKNOWN_CODE', closeCode: 1999, message: 'close code 1999' })
})

const answers = {
  'a message': dataFrame('client-1'),
  'a PING': controlFrame(OPCODE.ping, '12345678'),
  'a HELLO': hello(),
  'a CLOSE': farewell(OPCODE.close, CODE.normal),
  'an unknown opcode': controlFrame(9),
  'a WELCOME of version 2': welcome({ version: 2 }),
  'a WELCOME with flags': welcome({ flags: 1 }),
  'a WELCOME that is cut short': controlFrame(OPCODE.welcome, greeting().subarray(0, 15)),
  'a REJECT without a code': controlFrame(OPCODE.reject, 'x'),
  'a REJECT with a code of ours': farewell(OPCODE.reject, 2002),
  'too long a frame': hex('00 10 00 82'),
  'an HTTP answer': Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')
}
for (const [name, bytes] of Object.entries(answers)) {
  test(`a client whose HELLO is answered by ${name} fails to start`, async (t) => {
    const { starting, raw } = await startRawPair(t)
    raw.write(bytes)
    await t.throwsAsync(starting, { code: 'ZERIO_HANDSHAKE_FAILED' })
    t.is(framesOf(await raw.ends()).length, 1)
  })
}

test('a classic client accepts its own id as the answer, and nothing else', async (t) => {
  for (const bytes of [dataFrame('client-2'), dataFrame(''), dataFrame('client-1', 1), welcome()]) {
    const { starting, raw } = await startRawPair(t, { protocol: 'classic' })
    raw.write(bytes)
    await t.throwsAsync(starting, { code: 'ZERIO_HANDSHAKE_FAILED' }, inHex(bytes))
  }
})

const breaches = {
  'too long a message': [dataFrame(Buffer.alloc(101)), CODE.messageTooLong, 'ZERIO_MESSAGE_TOO_LONG'],
  'a second WELCOME': [welcome(), CODE.protocolError, 'ZERIO_PROTOCOL_ERROR'],
  'a late REJECT': [farewell(OPCODE.reject, CODE.serverFull), CODE.protocolError, 'ZERIO_PROTOCOL_ERROR'],
  'an unknown opcode': [controlFrame(0), CODE.protocolError, 'ZERIO_PROTOCOL_ERROR']
}
for (const [name, [bytes, number, code]] of Object.entries(breaches)) {
  test(`a client answers ${name} with CLOSE and ends`, async (t) => {
    const { client, starting, raw } = await startRawPair(t, { maxMessageLength: 100 })
    const reasons = []
    client.on('disconnected', (reason) => reasons.push(reason))
    raw.write(Buffer.concat([welcome(), dataFrame('before'), bytes]))
    await starting
    await until(() => reasons.length > 0)
    t.is(reasons[0].code, code)
    t.deepEqual((await raw.ends()).subarray(32), farewell(OPCODE.close, number))
  })
}

test('docs/protocol.md shows every code with its name, and quotes the Python client', async (t) => {
  const source = await readFile(new URL('../../src/reason.ts', import.meta.url), 'utf8')
  const codes = [...source.matchAll(/^ {2}(\d{4}): \{\s*code: '(\w+)'/gm)]
  t.true(codes.length > 20)
  for (const [, number, name] of codes) t.true(page.includes(`| ${number} | \`${name}\` |`), name)
  const python = await readFile(new URL('../../examples/clients/zerio_client.py', import.meta.url), 'utf8')
  const quotes = [...page.matchAll(/```python\n([\s\S]*?)```/g)]
  t.is(quotes.length, 2)
  for (const [, quote] of quotes) t.true(python.includes(quote), quote)
})
