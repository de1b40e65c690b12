// What a machine without ports, hosts, descriptors or memory does to a program: an error with a code, never a crash or a hang.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { runScript } from '../helpers/child.mjs'
import { startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { connectRaw, dataFrame, hello, startRawServer } from '../helpers/wire_raw.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const code = (name) => ({ instanceOf: ZerioError, code: name })

test('start rejects with EADDRINUSE and what was tried', async (t) => {
  // No connection of another test comes from this address, and so none can take the port between the stop and the start.
  const host = process.platform === 'darwin' ? '127.0.0.1' : '127.0.0.93'
  const first = new ZerioServer({ host, port: 0 })
  t.teardown(() => first.stop())
  await first.start('server')
  const second = new ZerioServer({ host, port: first.listeningPort })
  const error = await t.throwsAsync(second.start('server'), code('EADDRINUSE'))
  t.like(error, { syscall: 'listen', address: host, port: first.listeningPort })
  await first.stop()
  await second.start('server')
  await second.stop()
})

test('start rejects with EACCES for a port that needs privileges', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 1 })
  t.teardown(() => server.stop())
  try {
    await server.start('server')
    t.log('this user may listen on port 1, so there is no EACCES to see')
    t.is(server.listeningPort, 1)
  } catch (error) {
    t.like(error, { code: 'EACCES', syscall: 'listen', port: 1 })
    t.regex(error.message, /above 1023/)
  }
})

test('start rejects with EADDRNOTAVAIL for an address of another machine', async (t) => {
  const server = new ZerioServer({ host: '198.51.100.77', port: 0 })
  await t.throwsAsync(server.start('server'), code('EADDRNOTAVAIL'))
})

test('start rejects with ECONNREFUSED and what was tried', async (t) => {
  const server = await startServer(t)
  const port = server.listeningPort
  await server.stop()
  const error = await t.throwsAsync(
    new ZerioClient({ host: '127.0.0.1', port }).start('x'),
    code('ECONNREFUSED')
  )
  t.like(error, { syscall: 'connect', address: '127.0.0.1', port })
})

test('start rejects with the resolver’s code for an unknown host name, on clients and servers', async (t) => {
  const host = 'no-such-host.invalid'
  for (const one of [new ZerioClient({ host, port: 1 }), new ZerioServer({ host, port: 0 })]) {
    const error = await t.throwsAsync(one.start('x'), { instanceOf: ZerioError })
    // Without any name server the answer is EAI_AGAIN.
    t.true(['ENOTFOUND', 'EAI_AGAIN'].includes(error.code), error.code)
    t.like(error, { syscall: 'getaddrinfo', address: host })
  }
})

test('start rejects with ZERIO_CONNECT_TIMEOUT when the server accepts and is silent', async (t) => {
  const raw = await startRawServer(t)
  const client = new ZerioClient({ host: '127.0.0.1', port: raw.port }, { connectTimeoutMs: 50 })
  const error = await t.throwsAsync(client.start('client'), code('ZERIO_CONNECT_TIMEOUT'))
  t.like(error, { address: '127.0.0.1', port: raw.port })
  const connection = await raw.next()
  await connection.ends()
  t.pass()
})

test('start rejects within connectTimeoutMs for an address that leads nowhere', async (t) => {
  const client = new ZerioClient({ host: '240.0.0.1', port: 9 }, { connectTimeoutMs: 100 })
  const started = Date.now()
  const error = await t.throwsAsync(client.start('client'), { instanceOf: ZerioError })
  // A network may also have a middlebox that takes every connection and then ends it.
  const fates = [
    'ZERIO_CONNECT_TIMEOUT',
    'ENETUNREACH',
    'EHOSTUNREACH',
    'EINVAL',
    'EACCES',
    'EPERM',
    'ECONNREFUSED'
  ]
  fates.push('ZERIO_HANDSHAKE_FAILED')
  t.true(fates.includes(error.code), error.code)
  t.true(Date.now() - started < 10_000)
})

/** Runs `source` in a process that bash has limited; lines of its output are JSON. */
function startLimited(t, limit, source) {
  const child = spawn(
    'bash',
    ['-c', `${limit}; exec "$0" "$@"`, process.execPath, '--input-type=module', '--eval', source],
    { cwd: root, stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '' } }
  )
  t.teardown(() => child.kill('SIGKILL'))
  const result = { child, stdout: '', stderr: '', exit: undefined }
  child.stdout.on('data', (text) => {
    result.stdout += text
  })
  child.stderr.on('data', (text) => {
    result.stderr += text
  })
  child.once('close', (status, signal) => {
    result.exit = { status, signal }
  })
  result.lines = () =>
    result.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  result.line = async (name) => {
    const find = () => result.lines().find((line) => name in line)
    await until(() => find() !== undefined || result.exit !== undefined, `a line with ${name}`)
    if (find() === undefined)
      throw new Error(`the child ended: ${JSON.stringify(result.exit)} ${result.stderr}`)
    return find()
  }
  return result
}

test('EMFILE while accepting: the server emits an error, its peers go on, and it accepts again later', async (t) => {
  const child = startLimited(
    t,
    'ulimit -n 64',
    `import { ZerioServer } from 'zerio'
    const say = (line) => console.log(JSON.stringify(line))
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
    server.once('error', (error) => {
      say({ error: error.code, name: error.name, syscall: error.syscall })
      server.on('error', () => {})
    })
    await server.start('server')
    process.stdin.on('data', () => say({ counters: server.counters }))
    say({ port: server.listeningPort })`
  )
  const { port } = await child.line('port')
  const raws = []
  for (let i = 0; i < 60; i++) {
    const raw = await connectRaw(t, port)
    raw.write(hello({ id: `client ${i}` }))
    raws.push(raw)
  }
  t.like(await child.line('error'), { error: 'EMFILE', name: 'ZerioError', syscall: 'accept' })
  const answered = () => raws.filter((raw) => raw.bytes.length > 0)
  t.true(answered().length < 60)
  await raws[0].receives(26)
  raws[0].write(dataFrame('still there?'))
  t.is((await raws[0].receives(26 + 16)).subarray(30).toString(), 'still there?')
  // More leave than are waiting.
  await until(() => answered().length > 30)
  const leaving = answered().slice(1)
  for (const raw of leaving) raw.socket.destroy()
  await until(() => raws.every((raw) => raw.closed || raw.bytes.length > 0), 'all others are taken')
  child.child.stdin.write('?')
  const { counters } = await child.line('counters')
  t.true(counters.acceptErrors > 0)
  t.is(counters.connected, 60)
  t.is(child.exit, undefined)
})

test('EMFILE while starting: start rejects, and works once descriptors are free', async (t) => {
  const child = startLimited(
    t,
    'ulimit -n 64',
    `import { closeSync, openSync } from 'node:fs'
    import { ZerioClient, ZerioServer } from 'zerio'
    const say = (line) => console.log(JSON.stringify(line))
    const outcome = (promise) => promise.then(() => 'started', (error) => error.code)
    const use = () => {
      const files = []
      try { for (;;) files.push(openSync('/dev/null')) } catch { return () => files.forEach(closeSync) }
    }
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    let release = use()
    const withoutEngine = await outcome(server.start('server'))
    release()
    const started = await outcome(server.start('server'))
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    const second = new ZerioServer({ host: '127.0.0.1', port: 0 })
    release = use()
    const connecting = await outcome(client.start('client'))
    const listening = await outcome(second.start('second'))
    release()
    const connected = await outcome(client.start('client'))
    await client.stop()
    await server.stop()
    say({ outcomes: { withoutEngine, started, connecting, listening, connected } })`
  )
  const { outcomes } = await child.line('outcomes')
  t.deepEqual(outcomes, {
    withoutEngine: 'EMFILE',
    started: 'started',
    connecting: 'EMFILE',
    listening: 'EMFILE',
    connected: 'started'
  })
  await until(() => child.exit !== undefined)
  t.deepEqual(child.exit, { status: 0, signal: null })
})

test('no address space for the first pool: start rejects with ZERIO_OUT_OF_MEMORY', async (t) => {
  const child = startLimited(
    t,
    'ulimit -v 1700000',
    `import { ZerioClient, ZerioServer } from 'zerio'
    const outcome = (promise) => promise.then(() => 'started', (error) => [error.name, error.code, error.message])
    const options = { sendRingBytes: 512 * 1024 * 1024, maxMessageLength: 16777215 }
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
    const client = new ZerioClient({ host: '127.0.0.1', port: 9 }, options)
    const server1 = await outcome(server.start('server'))
    const client1 = await outcome(client.start('client'))
    const server2 = await outcome(server.start('server'))
    console.log(JSON.stringify({ outcomes: [server1, client1, server2] }))`
  )
  const { outcomes } = await child.line('outcomes')
  for (const [name, found, message] of outcomes) {
    t.is(name, 'ZerioError')
    t.is(found, 'ZERIO_OUT_OF_MEMORY')
    t.regex(message, /lower sendRingBytes/)
  }
  await until(() => child.exit !== undefined)
  t.deepEqual(child.exit, { status: 0, signal: null })
})

test('no address space for more peers: the server emits an error, its peers go on, and it reuses free slots', async (t) => {
  const result = await runScript(`
    import { connect } from 'node:net'
    import { once } from 'node:events'
    import { setTimeout as pause } from 'node:timers/promises'
    import { ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { lingerMs: 50 })
    const errors = []
    server.on('error', (error) => errors.push(error.code))
    server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
    await server.start('server')
    const Memory = WebAssembly.Memory
    const Shared = SharedArrayBuffer
    WebAssembly.Memory = globalThis.SharedArrayBuffer = class { constructor() { throw new RangeError('no address space') } }
    const until = async (condition) => { while (!condition()) await pause(1) }
    const frame = (text) => Buffer.concat([Buffer.from([text.length, 0, 0, 0]), Buffer.from(text)])
    const raws = []
    for (let i = 0; i < 20; i++) {
      const socket = connect(server.listeningPort, '127.0.0.1')
      await once(socket, 'connect')
      socket.on('data', () => {}).on('error', () => {})
      socket.write(frame('client ' + i))
      raws.push(socket)
    }
    await until(() => server.peerCount === 16 && errors.length > 0)
    raws[0].end()
    await until(() => server.counters.connected === 17 && errors.length > 1)
    raws[1].write(frame('hello'))
    await until(() => server.counters.messagesReceived === 1)
    // Connections that wait in the listen queue must not keep the loop busy.
    const polls = server.engine.counters.polls
    await pause(300)
    const idlePolls = server.engine.counters.polls - polls
    WebAssembly.Memory = Memory
    globalThis.SharedArrayBuffer = Shared
    raws[1].end()
    await until(() => server.counters.connected === 20)
    for (const raw of raws) raw.destroy()
    await server.stop()
    console.log(JSON.stringify({ errors, idlePolls }))
  `)
  t.deepEqual([result.code, result.signal, result.stderr], [0, null, ''])
  const { errors, idlePolls } = JSON.parse(result.stdout)
  t.deepEqual(new Set(errors), new Set(['ZERIO_OUT_OF_MEMORY']))
  t.true(idlePolls < 500, `${idlePolls} polls in 300 ms`)
})

test('no address space for more peers for a moment: the server accepts waiting connections by itself', async (t) => {
  const result = await runScript(`
    import { connect } from 'node:net'
    import { once } from 'node:events'
    import { setTimeout as pause } from 'node:timers/promises'
    import { ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { lingerMs: 50 })
    const errors = []
    server.on('error', (error) => errors.push([error.code, error.count]))
    await server.start('server')
    const { Memory } = WebAssembly
    const Shared = SharedArrayBuffer
    const Refused = class { constructor() { throw new RangeError('no address space') } }
    WebAssembly.Memory = globalThis.SharedArrayBuffer = Refused
    const until = async (condition) => { while (!condition()) await pause(1) }
    const raws = []
    for (let i = 0; i < 17; i++) {
      const socket = connect(server.listeningPort, '127.0.0.1')
      await once(socket, 'connect')
      socket.on('data', () => {}).on('error', () => {})
      socket.write(Buffer.concat([Buffer.from([1, 0, 0, 0]), Buffer.from([65 + i])]))
      raws.push(socket)
    }
    await until(() => server.peerCount === 16 && errors.length > 0)
    WebAssembly.Memory = Memory
    globalThis.SharedArrayBuffer = Shared
    await until(() => server.peerCount === 17)
    for (const raw of raws) raw.destroy()
    await server.stop()
    console.log(JSON.stringify({ errors }))
  `)
  t.deepEqual([result.code, result.signal, result.stderr], [0, null, ''])
  t.deepEqual(JSON.parse(result.stdout).errors[0], ['ZERIO_OUT_OF_MEMORY', 1])
})
