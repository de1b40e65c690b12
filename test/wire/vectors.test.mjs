// The shared vectors of the wire protocol: the engine and the clients of examples/clients agree on each byte; and those clients talk to
// servers, good and bad, and connect again where that is of use. A language whose tools are missing is skipped with a line that names them.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { SendStatus, ZerioClient } from 'zerio'
import * as foreign from '../helpers/foreign_clients.mjs'
import { startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import {
  connectNative,
  connectRaw,
  farewell,
  hex,
  inHex,
  OPCODE,
  startRawServer,
  TOPICS,
  watch,
  welcome
} from '../helpers/wire_raw.mjs'

/** The frame in which a client says that it is `client-1`, and has topics. */
const HELLO_BYTES = 32
const COMPILE_TIMEOUT_MS = 120_000
const root = fileURLToPath(new URL('../..', import.meta.url))
const path = join(root, 'test', 'wire', 'vectors.json')
const vectors = JSON.parse(readFileSync(path, 'utf8'))
const page = readFileSync(join(root, 'docs', 'protocol.md'), 'utf8')
const endings = vectors.filter(({ code }) => code !== undefined)
const answers = vectors.filter(({ start }) => start !== undefined)

/** What `reason.code` is for a code of the wire. */
function nameOf(code) {
  if (code >= 4000) return 'ZERIO_APPLICATION'
  return new RegExp(`^\\| ${code} \\| \`(\\w+)\``, 'm').exec(page)?.[1] ?? 'ZERIO_UNKNOWN_CODE'
}

async function startRawPair(t, id, options) {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port }, options)
  t.teardown(() => client.stop())
  return { client, starting: client.start(id), raw: await raw.next() }
}

/** What a side sends that reads an ending with this code. */
const lastWords = (code) => (code === 1002 || code === 1003 ? farewell(OPCODE.close, code) : Buffer.alloc(0))

test('the engine writes each HELLO of the vectors', async (t) => {
  const hellos = vectors.filter(({ id }) => id !== undefined)
  t.true(hellos.length >= 4)
  for (const { name, id, credential, longest, bytes } of hellos.filter(({ longest }) => longest > 0)) {
    const options = { maxMessageLength: longest, ...(credential === '' ? {} : { credential }) }
    const { starting, raw } = await startRawPair(t, id, options)
    // It has the extension TOPICS, which other clients leave out.
    const expected = Buffer.concat([hex(bytes), TOPICS])
    expected.writeUInt32LE(expected.readUInt32LE() + TOPICS.length)
    expected.writeUInt16LE(TOPICS.length, 18)
    t.is(inHex(await raw.receives(expected.length)), inHex(expected), name)
    raw.write(welcome())
    await starting
  }
})

test('the engine reads and writes each message of the vectors', async (t) => {
  const messages = vectors.filter(({ high }) => high < 2 ** 31)
  t.true(messages.length >= 5)
  const { client, starting, raw } = await startRawPair(t, 'client-1')
  const received = []
  client.onMessage = (buffer, offset, length, channel) =>
    received.push([channel * 2 ** 24, inHex(buffer.subarray(offset, offset + length))])
  raw.write(Buffer.concat([welcome(), ...messages.map(({ bytes }) => hex(bytes))]))
  await starting
  await until(() => received.length === messages.length)
  t.deepEqual(
    received,
    messages.map(({ high, payload }) => [high, payload])
  )
  const before = (await raw.receives(HELLO_BYTES)).length
  for (const { high, payload } of messages) client.send(hex(payload), high / 2 ** 24)
  const expected = messages.map(({ bytes }) => hex(bytes))
  const written = await raw.receives(before + Buffer.concat(expected).length)
  t.deepEqual(written.subarray(before), Buffer.concat(expected))
})

test('a server of the engine takes each HELLO of the vectors', async (t) => {
  const asked = []
  const server = await startServer(t, {
    authenticate: (id, credential) => asked.push([id, `${credential}`]) > 0
  })
  for (const { name, id, credential, bytes } of vectors.filter(({ id }) => id !== undefined)) {
    const raw = await connectRaw(t, server.listeningPort)
    raw.write(hex(bytes))
    t.deepEqual(await raw.receives(welcome().length), welcome(), name)
    t.deepEqual(asked.pop(), [id, credential], name)
    raw.socket.destroy()
    await until(() => server.peerCount === 0)
  }
})

test('a client of the engine takes each answer as the vectors say', async (t) => {
  t.true(answers.length >= 20)
  for (const { name, start, bytes } of answers) {
    const { client, starting, raw } = await startRawPair(t, 'client-1')
    raw.write(hex(bytes))
    if (start === 0) {
      await starting
      t.is(client.serverId, 'server', name)
      continue
    }
    await t.throwsAsync(starting, { code: nameOf(start) }, name)
    t.is((await raw.ends()).length, HELLO_BYTES, name)
  }
})

test('a client of the engine refuses each send that the vectors refuse', async (t) => {
  const sends = vectors.filter(({ send }) => send !== undefined)
  t.true(sends.length >= 4)
  for (const { name, send, channel, bytes } of sends) {
    const { client, starting, raw } = await startRawPair(t, 'client-1')
    raw.write(hex(bytes))
    await starting
    const message = Buffer.alloc(send)
    if (channel > 127) t.throws(() => client.send(message, channel), { code: 'ZERIO_BAD_ARGUMENT' }, name)
    else t.is(client.send(message, channel), SendStatus.TooLarge, name)
    await client.stop()
    t.deepEqual((await raw.ends()).subarray(HELLO_BYTES), farewell(OPCODE.close, 1000), name)
  }
})

test('a client of the engine ends the connection as each last frame of the vectors says', async (t) => {
  t.true(endings.length >= 20)
  for (const { name, code, bytes } of endings) {
    const { client, starting, raw } = await startRawPair(t, 'client-1')
    const ended = once(client, 'disconnected')
    raw.write(Buffer.concat([welcome(), hex(bytes)]))
    await starting
    const [reason] = await ended
    t.is(reason.code, nameOf(code), name)
    t.deepEqual((await raw.ends()).subarray(HELLO_BYTES), lastWords(code), name)
  }
})

test('a server of the engine ends the connection as each last frame of the vectors says', async (t) => {
  const server = await startServer(t)
  const { disconnected } = watch(server)
  for (const { name, code, bytes } of endings) {
    const raw = await connectNative(t, server, name)
    raw.write(hex(bytes))
    const { id, reason } = await until(() => disconnected.pop())
    t.deepEqual([id, reason.code], [name, nameOf(code)])
    t.deepEqual((await raw.ends()).subarray(raw.greetingBytes), lastWords(code), name)
  }
})

test('the vectors have each example of docs/protocol.md that is native', (t) => {
  const known = new Set(vectors.map(({ bytes }) => bytes))
  const examples = [...page.matchAll(/^\| ([^|]+) \| `((?:[0-9a-f]{2} ?)+)` \|$/gm)]
  t.true(examples.length > 8)
  for (const [, name, bytes] of examples) if (!name.startsWith('classic')) t.true(known.has(bytes), name)
})

const says = (command, ...args) =>
  spawnSync(command, args, {
    encoding: 'utf8',
    timeout: COMPILE_TIMEOUT_MS,
    env: { ...process.env, GOFLAGS: '-mod=mod' }
  })

/** For each client: the tools that it needs, what compiles it into a folder, and what runs it from there. */
const clients = {
  'zerio_client.py': { tools: ['python3'], run: (_folder, source) => ['python3', '-B', source] },
  'zerio_client.go': {
    tools: ['go'],
    compile: (folder, source) => ['go', 'build', '-o', join(folder, 'client'), source],
    run: (folder) => [join(folder, 'client')]
  },
  'ZerioClient.java': {
    tools: ['javac', 'java'],
    compile: (folder, source) => ['javac', '-Xlint:all,-serial', '-Werror', '-d', folder, source],
    run: (folder) => ['java', '-XX:TieredStopAtLevel=1', '-cp', folder, 'ZerioClient']
  },
  'ZerioClient.cs': {
    tools: ['mcs', 'mono'],
    compile: (folder, source) => ['mcs', '-warnaserror', `-out:${join(folder, 'client.exe')}`, source],
    run: (folder) => ['mono', join(folder, 'client.exe')]
  }
}

for (const [file, { tools, compile, run }] of Object.entries(clients)) {
  const missing = tools.filter(
    (tool) => says(tool, tool === 'go' ? 'version' : '--version').error !== undefined
  )
  const title = `${file} agrees with the vectors, and connects again`
  const declare = missing.length > 0 ? test.skip : test
  declare(missing.length > 0 ? `${title} (not installed: ${missing.join(', ')})` : title, async (t) => {
    t.timeout(2 * COMPILE_TIMEOUT_MS)
    const folder = mkdtempSync(join(tmpdir(), 'zerio-client-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const source = join(root, 'examples', 'clients', file)
    if (compile !== undefined) {
      const made = says(...compile(folder, source))
      t.is(made.status, 0, made.stdout + made.stderr)
    }
    const command = run(folder, source)
    const checked = says(...command, 'vectors', path)
    t.is(checked.stdout, `${vectors.length} vectors agree\n`, checked.stderr)
    await foreign.converses(t, command)
    const asBytes = (vector) => ({ ...vector, bytes: hex(vector.bytes) })
    await foreign.refusesAnswers(t, command, answers.map(asBytes))
    await foreign.endsAs(t, command, endings.map(asBytes))
    await foreign.pauses(t, command)
    await foreign.givesWay(t, command)
    await foreign.measures(t, command)
    await foreign.endsAlone(t, command)
    await foreign.givesUp(t, command)
  })
}
