// The shared vectors of the wire protocol: the engine and the clients of examples/clients agree on each byte; and those clients talk to
// a server, and connect again after it has gone. A language whose tools are missing is skipped with a line that names them.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { outputOf } from '../helpers/output.mjs'
import { until } from '../helpers/until.mjs'
import { farewell, hex, inHex, OPCODE, startRawServer, welcome } from '../helpers/wire_raw.mjs'

/** The frame in which a client says that it is `client-1`. */
const HELLO_BYTES = 28
const COMPILE_TIMEOUT_MS = 120_000
const root = fileURLToPath(new URL('../..', import.meta.url))
const path = join(root, 'test', 'wire', 'vectors.json')
const vectors = JSON.parse(readFileSync(path, 'utf8'))
const page = readFileSync(join(root, 'docs', 'protocol.md'), 'utf8')

async function startRawPair(t, id, options) {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port }, options)
  t.teardown(() => client.stop())
  return { client, starting: client.start(id), raw: await raw.next() }
}

test('the engine writes each HELLO of the vectors', async (t) => {
  const hellos = vectors.filter(({ id }) => id !== undefined)
  t.true(hellos.length >= 4)
  for (const { name, id, credential, longest, bytes } of hellos.filter(({ longest }) => longest > 0)) {
    const options = { maxMessageLength: longest, ...(credential === '' ? {} : { credential }) }
    const { starting, raw } = await startRawPair(t, id, options)
    t.is(inHex(await raw.receives(hex(bytes).length)), bytes, name)
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

test('the engine ends the connection as each last frame of the vectors says', async (t) => {
  const endings = vectors.filter(({ code }) => code !== undefined)
  t.true(endings.length >= 10)
  for (const { name, code, bytes } of endings) {
    const { client, starting, raw } = await startRawPair(t, 'client-1')
    const ended = once(client, 'disconnected')
    raw.write(Buffer.concat([welcome(), hex(bytes)]))
    await starting
    const [reason] = await ended
    const named =
      code >= 4000 ? 'ZERIO_APPLICATION' : new RegExp(`^\\| ${code} \\| \`(\\w+)\``, 'm').exec(page)[1]
    t.is(reason.code, named, name)
    if (code !== 1002 && code !== 1003) continue
    t.deepEqual((await raw.ends()).subarray(HELLO_BYTES), farewell(OPCODE.close, code), name)
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

/** Talks to a server, which then goes, comes back on the same port, and is talked to again. */
async function converses(t, [command, ...args]) {
  const start = async (port) => {
    const server = new ZerioServer({ host: '127.0.0.1', port })
    t.teardown(() => server.stop())
    server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
    await server.start('server')
    return server
  }
  const first = await start(0)
  const port = first.listeningPort
  const child = spawn(command, [...args, String(port), 'élève'], { stdio: ['pipe', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const output = outputOf(child)
  const closed = once(child, 'close')
  child.stdin.write('oui\n')
  await until(() => output.stdout === 'oui\n', 'an echo')
  await first.stop()
  const second = await start(port)
  const reasons = []
  second.on('clientDisconnected', (id, reason) => reasons.push(`${id} ${reason.code}`))
  child.stdin.end('über\nfin\n')
  const [status] = await closed
  t.is(status, 0, output.stderr)
  t.is(output.stdout, 'oui\nüber\nfin\n')
  await until(() => reasons.length === 1)
  t.deepEqual(reasons, ['élève ZERIO_NORMAL'])
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
    await converses(t, command)
  })
}
