// Unix domain sockets: where a server makes the file of one, when it removes it, and what it says when it cannot.

import { existsSync, linkSync, lstatSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { startScript } from '../helpers/child.mjs'
import { until } from '../helpers/until.mjs'

const isWindows = process.platform === 'win32'

/** A path in a folder of its own. */
function newPath(t, name = 'socket') {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return join(folder, name)
}

async function listen(t, path, options) {
  const server = new ZerioServer({ path }, options)
  t.teardown(() => server.stop())
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  await server.start('server')
  return server
}

async function connect(t, path, id = 'client', options) {
  const client = new ZerioClient({ path }, options)
  t.teardown(() => client.stop())
  await client.start(id)
  return client
}

/** Sends a message, and resolves with its echo. */
function echoOf(client, text) {
  return new Promise((resolve) => {
    client.onMessage = (buffer, offset, length) => resolve(buffer.toString('utf8', offset, offset + length))
    client.send(Buffer.from(text))
  })
}

if (isWindows) {
  test('Windows: a path is an error at construction', (t) => {
    t.throws(() => new ZerioServer({ path: 'socket' }), { code: 'ZERIO_ADDRESS_UNSUPPORTED' })
    t.throws(() => new ZerioClient({ path: 'socket' }), { code: 'ZERIO_ADDRESS_UNSUPPORTED' })
  })
}

test('a server listens on a path, a client connects to it, and both say so', async (t) => {
  const path = newPath(t)
  const server = await listen(t, path)
  t.is(server.state, 'listening')
  t.is(server.listeningPath, path)
  t.is(server.listeningPort, 0)
  t.is(server.listeningHost, '')
  t.true(lstatSync(path).isSocket())
  const client = await connect(t, path)
  t.is(client.remoteAddress, `unix:${path}`)
  t.is(client.localAddress, 'unix:')
  const peer = await until(() => server.peer('client'))
  t.is(peer.remoteAddress, 'unix:')
  t.is(peer.localAddress, `unix:${path}`)
  t.is(await echoOf(client, 'oui'), 'oui')
})

test('much data crosses a path, with every option of TCP set', async (t) => {
  const path = newPath(t)
  const options = { noDelay: true, keepAliveMs: 1000, userTimeoutMs: 1000, socketSendBytes: 65536 }
  await listen(t, path, options)
  const client = await connect(t, path, 'client', options)
  const message = Buffer.alloc(60_000, 'x')
  const count = 200
  let received = 0
  client.onMessage = (_buffer, _offset, length) => {
    if (length === message.length) received++
  }
  for (let sent = 0; sent < count; ) {
    if (client.send(message) === 0) sent++
    else await new Promise((resolve) => client.once('drain', resolve))
  }
  await until(() => received === count)
  t.is(received, count)
})

test('the file goes when the server stops, and when it stops to listen', async (t) => {
  const path = newPath(t)
  const server = await listen(t, path)
  await connect(t, path)
  server.stopListening()
  t.false(existsSync(path))
  t.is(server.state, 'serving')
  t.is(server.listeningPath, '')
  await server.stop()
  await server.start('server')
  t.true(existsSync(path))
  await server.stop()
  t.false(existsSync(path))
})

test('a file that has taken the place of the own one stays', async (t) => {
  const path = newPath(t)
  const server = await listen(t, path)
  renameSync(path, `${path}.old`)
  writeFileSync(path, 'precious')
  await server.stop()
  t.true(existsSync(path))
  t.true(existsSync(`${path}.old`))
})

test('the file of a server that was killed is replaced', async (t) => {
  const path = newPath(t)
  const { child, ended, output } = startScript(`
    import { ZerioServer } from 'zerio'
    await new ZerioServer({ path: ${JSON.stringify(path)} }).start('first')
    console.log('listens')`)
  await until(() => output().includes('listens'))
  child.kill('SIGKILL')
  await ended
  t.true(existsSync(path))
  await t.throwsAsync(connect(t, path), { code: 'ECONNREFUSED', message: /no program listens there/ })
  await listen(t, path)
  const client = await connect(t, path, 'again')
  t.is(client.serverId, 'server')
})

test('a path on which another server listens is in use, and that server goes on', async (t) => {
  const path = newPath(t)
  const first = await listen(t, path)
  const error = await t.throwsAsync(listen(t, path), { code: 'EADDRINUSE', name: 'ZerioError' })
  t.is(error.address, path)
  t.is(error.port, undefined)
  t.true(error.message.includes('another program listens on this path; choose another one'))
  const client = await connect(t, path)
  t.is(await echoOf(client, 'still'), 'still')
  t.is(first.state, 'listening')
})

test('a listener of another program is in use as well', async (t) => {
  const path = newPath(t)
  const other = createServer((socket) => socket.destroy()).listen(path)
  t.teardown(() => other.close())
  await until(() => other.listening)
  await t.throwsAsync(listen(t, path), { code: 'EADDRINUSE' })
  t.true(existsSync(path))
})

test('what is no socket is never removed', async (t) => {
  const path = newPath(t)
  writeFileSync(path, 'precious')
  const error = await t.throwsAsync(listen(t, path), { code: 'ENOTSOCK' })
  t.true(error.message.includes('remove it, or choose another path'))
  t.true(lstatSync(path).isFile())
})

test('a path of no directory, or to nothing, is an error that says what to do', async (t) => {
  const path = newPath(t)
  await t.throwsAsync(listen(t, join(path, 'deep')), { code: 'ENOENT', message: /make it first/ })
  await t.throwsAsync(connect(t, path), { code: 'ENOENT', message: /start the server first/ })
  writeFileSync(path, '')
  await t.throwsAsync(listen(t, join(path, 'deep')), { code: 'ENOTDIR' })
  await t.throwsAsync(connect(t, path), { code: 'ECONNREFUSED' })
})

test('the permissions of the file are what the umask leaves', async (t) => {
  const path = newPath(t)
  await listen(t, path)
  t.is(lstatSync(path).mode & 0o777, 0o777 & ~process.umask())
})

test('the file is removed under its own name, although the directory changed meanwhile', async (t) => {
  const path = newPath(t)
  const { ended } = startScript(`
    import { ZerioServer } from 'zerio'
    process.chdir(${JSON.stringify(join(path, '..'))})
    const server = new ZerioServer({ path: 'socket' })
    await server.start('server')
    process.chdir('/')
    await server.stop()
    console.log('stopped')`)
  const { stdout, stderr } = await ended
  t.is(stderr, '')
  t.is(stdout.trim(), 'stopped')
  t.false(existsSync(path))
})

test('a path has a longest length, and no zero bytes', async (t) => {
  const longest = process.platform === 'linux' ? 107 : 103
  const folder = newPath(t, '')
  const path = folder + 'x'.repeat(longest - folder.length)
  const server = await listen(t, path)
  t.is((await connect(t, path)).remoteAddress, `unix:${path}`)
  await server.stop()
  t.throws(() => new ZerioServer({ path: `${path}x` }), {
    code: 'ZERIO_BAD_ARGUMENT',
    message: `A server needs a path of at most ${longest} bytes, not ${longest + 1}; choose a shorter one, or one relative to the working directory.`
  })
  t.throws(() => new ZerioClient({ path: `${path.slice(0, -1)}é` }), { code: 'ZERIO_BAD_ARGUMENT' })
  t.throws(() => new ZerioClient({ path: 'a\0b' }), { code: 'ZERIO_BAD_ARGUMENT' })
})

test('an address is one of several, and nothing else', (t) => {
  for (const address of [{ path: '' }, { path: 5 }, { path: 'a', port: 1 }, { path: 'a', fd: 1 }, {}])
    t.throws(() => new ZerioServer(address), { code: 'ZERIO_BAD_ARGUMENT' }, JSON.stringify(address))
  t.throws(() => new ZerioClient({ host: 'unix:/tmp/socket', port: 1 }), {
    code: 'ZERIO_BAD_ARGUMENT',
    message: "A client takes a path as { path }, not as the host 'unix:/tmp/socket'."
  })
})

test('Linux: a name without a file is in use as long as a server has it', async (t) => {
  const path = `\0zerio-${process.pid}`
  const server = await listen(t, path)
  t.is(server.listeningPath, path)
  const client = await connect(t, path)
  t.is(client.remoteAddress, `unix:@zerio-${process.pid}`)
  await t.throwsAsync(listen(t, path), { code: 'EADDRINUSE' })
  await server.stop()
  await t.throwsAsync(connect(t, path), { code: 'ECONNREFUSED' })
  await listen(t, path)
})

test('a client with reconnect waits for the path, and finds the next server there', async (t) => {
  const path = newPath(t)
  const client = new ZerioClient({ path }, { reconnect: { delayMs: 1, delayMsMax: 20, first: true } })
  t.teardown(() => client.stop())
  const started = client.start('client')
  const first = await listen(t, path)
  await started
  await first.stop()
  const again = new Promise((resolve) => client.once('connected', resolve))
  await listen(t, path)
  await again
  t.is(client.state, 'connected')
})

test('what is not the protocol ends at the same rules as over TCP', async (t) => {
  const path = newPath(t)
  const server = await listen(t, path)
  const refused = new Promise((resolve) => server.once('refused', (...event) => resolve(event)))
  const socket = connectTo(path)
  socket.on('error', () => {}).end(Buffer.alloc(64, 0xff))
  const [reason, { remoteAddress }] = await refused
  t.truthy(reason.code)
  t.is(remoteAddress, 'unix:')
  socket.destroy()
})

test('a second name of the file does not keep it', async (t) => {
  const path = newPath(t)
  const server = await listen(t, path)
  linkSync(path, `${path}.link`)
  await connect(t, `${path}.link`)
  await server.stop()
  t.false(existsSync(path))
  t.true(existsSync(`${path}.link`))
  await listen(t, `${path}.link`)
})
