// Which backend an engine gets, what it says about it, and what happens where the system forbids one.
// On Windows ZERIO_TEST_BACKEND says which one must be chosen there (scripts/test_windows.mjs).

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { alwaysThere } from '../helpers/backend.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'zerio-'))
const forbid = join(folder, 'forbid_io_uring')
const windows = process.platform === 'win32'
test.before(() => {
  if (windows) return
  const source = fileURLToPath(new URL('../helpers/forbid_io_uring.c', import.meta.url))
  execFileSync(process.env.CC ?? 'cc', ['-O2', '-Wall', '-Werror', source, '-o', forbid])
})
test.after.always(() => rmSync(folder, { recursive: true }))

// Starts a server and a client, exchanges a message, and reports what both say of their engines.
const script = `
  import { once } from 'node:events'
  import { ZerioClient, ZerioServer } from 'zerio'
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  let result
  try {
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    await client.start('client')
    client.send(Buffer.from('oui'))
    const [answer] = await once(client, 'message')
    let named = 'started'
    const other = new ZerioServer({ host: '127.0.0.1', port: 0 }, { backend: '${windows ? 'rio' : 'io_uring'}' })
    await other.start('other').catch((error) => { named = { name: error.name, code: error.code, message: error.message } })
    result = { answer: String(answer), backend: server.engine.backend, reason: server.engine.backendReason, named }
    await Promise.all([other.stop(), client.stop(), server.stop()])
  } catch (error) {
    result = { code: error.code, message: error.message }
  }
  console.log(JSON.stringify(result))
`

function run(command, args, env = {}) {
  const all = [...args, process.execPath, '--input-type=module', '--eval', script]
  const [first, ...rest] = command === undefined ? all : [command, ...all]
  const { ZERIO_BACKEND, ...inherited } = process.env
  const options = { cwd: root, env: { ...inherited, ...env }, encoding: 'utf8', timeout: 40_000 }
  const result = spawnSync(first, rest, options)
  return { status: result.status, stderr: result.stderr, ...JSON.parse(result.stdout || '{}') }
}

const refusals = [
  ['EPERM', /seccomp profile .*Docker.*kernel\.io_uring_disabled/],
  ['ENOSYS', /no io_uring/],
  ['ENOMEM', /ulimit -l/]
]
for (const [name, cause] of alwaysThere === 'epoll' ? refusals : []) {
  test(`io_uring forbidden with ${name}: auto takes epoll and says why, and io_uring by name is an error`, (t) => {
    const result = run(forbid, [String(constants.errno[name])])
    t.like(result, { status: 0, stderr: '', answer: 'oui', backend: 'epoll' })
    t.regex(result.reason, new RegExp(name))
    t.regex(result.reason, cause)
    t.false(result.reason.includes('\n'))
    t.like(result.named, { name: 'ZerioError', code: 'ZERIO_BACKEND_UNAVAILABLE' })
    t.regex(result.named.message, cause)
    t.regex(result.named.message, /Use 'auto'/)
  })
}

if (alwaysThere === 'kqueue') {
  test('auto takes kqueue', (t) => {
    t.like(run(undefined, []), {
      status: 0,
      stderr: '',
      answer: 'oui',
      backend: 'kqueue',
      reason: 'works on every macOS and FreeBSD'
    })
  })
} else if (!windows) {
  test('auto says which backend it took and why', (t) => {
    const result = run(undefined, [])
    t.like(result, { status: 0, stderr: '', answer: 'oui' })
    t.true(['epoll', 'io_uring'].includes(result.backend))
    t.regex(result.reason, /can be asked for by name/)
  })
} else if (process.env.ZERIO_TEST_BACKEND === 'rio') {
  test('auto takes Registered I/O where the system has it', (t) => {
    t.like(run(undefined, []), {
      status: 0,
      stderr: '',
      answer: 'oui',
      backend: 'rio',
      reason: 'the system has Registered I/O',
      named: 'started'
    })
  })
} else {
  test('auto takes winsock where Registered I/O is missing and says so, and rio by name is an error', (t) => {
    const result = run(undefined, [])
    t.like(result, { status: 0, stderr: '', answer: 'oui', backend: 'winsock' })
    t.regex(result.reason, /^works on every Windows; 'rio' cannot be used: .*no Registered I\/O$/)
    t.like(result.named, { name: 'ZerioError', code: 'ZERIO_BACKEND_UNAVAILABLE' })
    t.regex(result.named.message, /no Registered I\/O/)
  })
}

test('the environment variable chooses the backend for endpoints without one', (t) => {
  const result = run(undefined, [], { ZERIO_BACKEND: alwaysThere })
  t.like(result, { status: 0, answer: 'oui', backend: alwaysThere })
  t.regex(result.reason, /ZERIO_BACKEND/)
  const wrong = run(undefined, [], { ZERIO_BACKEND: 'abacus' })
  t.is(wrong.code, 'ZERIO_BACKEND_UNAVAILABLE')
  t.regex(wrong.message, /'abacus' is not available/)
})

test('start rejects with a sentence for a backend of another system', async (t) => {
  const backend = windows ? 'epoll' : 'rio'
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { backend })
  const error = await t.throwsAsync(server.start('server'), { code: 'ZERIO_BACKEND_UNAVAILABLE' })
  t.regex(error.message, /use 'auto' or '/)
  const client = new ZerioClient(1, { backend })
  await t.throwsAsync(client.start('client'), { code: 'ZERIO_BACKEND_UNAVAILABLE' })
})

// What older kernels lack, taken away one by one and together.
for (const without of ['defer', 'incremental', 'multishot', 'queues', 'all']) {
  test(`io_uring without ${without} exchanges messages`, (t) => {
    const features = without === 'all' ? 'defer,incremental,multishot,queues' : without
    const env = { ZERIO_BACKEND: 'io_uring', ZERIO_IO_URING_WITHOUT: features }
    const result = run(undefined, [], env)
    if (result.code === 'ZERIO_BACKEND_UNAVAILABLE') {
      t.log(`io_uring cannot be used here: ${result.message}`)
      t.pass()
    } else {
      t.like(result, { status: 0, stderr: '', answer: 'oui', backend: 'io_uring', named: 'started' })
    }
  })
}
