// Servers that adopt a socket which listens already, as one that a parent process passes on (socket activation).

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, renameSync, rmSync } from 'node:fs'
import { connect as connectTo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { outputOf } from '../helpers/output.mjs'
import { until } from '../helpers/until.mjs'

const isWindows = process.platform === 'win32'
const root = fileURLToPath(new URL('../..', import.meta.url))

if (isWindows) {
  test('Windows: a descriptor is an error at construction', (t) => {
    t.throws(() => new ZerioServer({ fd: 3 }), { code: 'ZERIO_ADDRESS_UNSUPPORTED' })
  })
}

const program = `
  import { ZerioServer } from 'zerio'
  import { fstatSync } from 'node:fs'
  const server = new ZerioServer({ fd: 3 })
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  await server.start('activated')
  const { listeningHost, listeningPort, listeningPath, state } = server
  console.log(JSON.stringify({ listeningHost, listeningPort, listeningPath, state }))
  server.on('clientDisconnected', async () => {
    await server.stop()
    let closed = ''
    try { fstatSync(3) } catch (error) { closed = error.code }
    const again = await server.start('again').catch((error) => error.code)
    console.log(JSON.stringify({ closed, again }))
  })`

/** Starts a program with the socket of `listener` as its descriptor 3, and closes it in this process. It says one line of JSON. */
async function activate(t, listener, source = program) {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe', listener._handle.fd],
    env: { ...process.env, NODE_OPTIONS: process.env.ZERIO_TEST_NODE_OPTIONS ?? '' }
  })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'close')
  listener.close()
  const output = outputOf(child)
  await until(() => output.stdout.includes('\n'), 'the child listens')
  return { output, ended, said: JSON.parse(output.stdout) }
}

async function talk(t, address) {
  const client = new ZerioClient(address)
  t.teardown(() => client.stop())
  await client.start('client')
  t.is(client.serverId, 'activated')
  const echo = new Promise((resolve) => {
    client.onMessage = (buffer, offset, length) => resolve(buffer.toString('utf8', offset, offset + length))
  })
  client.send(Buffer.from('oui'))
  t.is(await echo, 'oui')
  await client.stop()
}

test('a child listens on the port that its parent has opened, and closes it when it stops', async (t) => {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address()
  const { said, output, ended } = await activate(t, listener)
  t.deepEqual(said, {
    listeningHost: '127.0.0.1',
    listeningPort: port,
    listeningPath: '',
    state: 'listening'
  })
  await talk(t, { host: '127.0.0.1', port })
  await ended
  t.is(output.stderr, '')
  t.deepEqual(JSON.parse(output.stdout.split('\n')[1]), { closed: 'EBADF', again: 'EBADF' })
})

test('a child listens on the path that its parent has opened, and leaves its file alone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'socket')
  const listener = createServer().listen(path)
  await once(listener, 'listening')
  // Node.js removes the file of a listener that it closes.
  renameSync(path, `${path}.kept`)
  const { said, output, ended } = await activate(t, listener)
  t.deepEqual(said, { listeningHost: '', listeningPort: 0, listeningPath: path, state: 'listening' })
  await talk(t, { path: `${path}.kept` })
  await ended
  t.is(output.stderr, '')
  t.true(existsSync(`${path}.kept`))
})

async function refusalOf(t, fd) {
  const server = new ZerioServer({ fd })
  t.teardown(() => server.stop())
  const error = await t.throwsAsync(server.start('server'), { name: 'ZerioError' })
  t.true(error.message.startsWith(`Cannot listen on the descriptor ${fd}: ${error.code}, `), error.message)
  t.is(server.state, 'idle')
  return error.code
}

test('what is no socket that listens is refused, and stays open', async (t) => {
  const file = openSync(fileURLToPath(import.meta.url))
  t.is(await refusalOf(t, file), 'ENOTSOCK')
  closeSync(file)
  t.is(await refusalOf(t, 1_000_000), 'EBADF')

  const listener = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const socket = connectTo(listener.address().port, '127.0.0.1')
  await once(socket, 'connect')
  t.is(await refusalOf(t, socket._handle.fd), 'EINVAL')
  // The connection is as it was.
  socket.end('still there')
  t.is(String(await once(socket, 'data').then(([data]) => data)), 'still there')
  listener.close()
})

test('a descriptor is adopted once, by whatever engine', async (t) => {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address()
  const { said, ended } = await activate(
    t,
    listener,
    `
    import { ZerioServer } from 'zerio'
    const first = new ZerioServer({ fd: 3 })
    first.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
    first.on('clientDisconnected', () => first.stop())
    await first.start('activated')
    const codes = []
    for (const options of [{}, { sendRingBytes: 524288 }])
      codes.push(await new ZerioServer({ fd: 3 }, options).start('second').catch(({ code }) => code))
    console.log(JSON.stringify(codes))`
  )
  t.deepEqual(said, ['EEXIST', 'EEXIST'])
  await talk(t, { host: '127.0.0.1', port })
  await ended
})

test('a descriptor that was closed because another one was refused is not taken again', async (t) => {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { said, ended } = await activate(
    t,
    listener,
    `
    import { ZerioServer } from 'zerio'
    const server = new ZerioServer([{ fd: 3 }, { fd: 1000000 }])
    const texts = []
    for (let i = 0; i < 2; i++) texts.push(await server.start('server').catch(({ message }) => message))
    console.log(JSON.stringify(texts))`
  )
  t.regex(said[0], /^Cannot listen on the descriptor 1000000: EBADF, /)
  t.regex(said[1], /^Cannot listen on the descriptor 3 again: EBADF, /)
  await ended
})

test('a descriptor is a number, and for servers alone', (t) => {
  for (const fd of [-1, 1.5, '3', null])
    t.throws(() => new ZerioServer({ fd }), { code: 'ZERIO_BAD_ARGUMENT' }, String(fd))
  if (!isWindows) {
    const message = 'A server takes each descriptor once; two of its addresses have the same fd.'
    t.throws(() => new ZerioServer([{ fd: 3 }, { fd: 3 }]), { code: 'ZERIO_BAD_ARGUMENT', message })
  }
  t.throws(() => new ZerioClient({ fd: 3 }), {
    code: 'ZERIO_BAD_ARGUMENT',
    message: 'A client takes a port, host and port, path, and no "fd".'
  })
})
