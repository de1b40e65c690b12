// Rare events of a real system: forks, sockets that connect to themselves, and an epoll that takes no more sockets.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { alwaysThere } from '../helpers/backend.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'zerio-'))
const oddities = join(folder, 'oddities.so')
test.before(() => {
  const source = fileURLToPath(new URL('../helpers/oddities.c', import.meta.url))
  const flags = ['-O2', '-Wall', '-Werror', '-shared', '-fPIC']
  execFileSync(process.env.CC ?? 'cc', [...flags, source, '-o', oddities, '-ldl'])
})
test.after.always(() => rmSync(folder, { recursive: true }))

/** Runs a script that has a server, and what tests have; returns the last thing that it prints. */
function run(t, script) {
  const source = `
    import { once } from 'node:events'
    import { createServer } from 'node:net'
    import { setTimeout as pause } from 'node:timers/promises'
    import { ZerioClient, ZerioServer } from 'zerio'
    import { until } from './test/helpers/until.mjs'
    import { connectNative, connectRaw, dataFrame } from './test/helpers/wire_raw.mjs'
    const t = { teardown() {} }
    ${script}
    process.exit()`
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', source],
    { cwd: root, encoding: 'utf8', timeout: 40_000, env: { ...process.env, LD_PRELOAD: oddities } }
  )
  t.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' })
  return JSON.parse(stdout)
}

const leavers = {
  'a peer that left': `
    const peer = await connectNative(t, server, 'peer')
    await pause(100)
    process.kill(process.pid, 'SIGUSR2')
    peer.socket.end()
    await until(() => server.peerCount === 0)`,
  'a newcomer that left': `
    const newcomer = await connectRaw(t, server.listeningPort)
    await until(() => server.counters.handshakes === 1)
    process.kill(process.pid, 'SIGUSR2')
    newcomer.socket.end()
    await until(() => server.counters.handshakes === 0)`,
  'a client that stopped': `
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    await client.start('client')
    process.kill(process.pid, 'SIGUSR2')
    await client.stop()
    await until(() => server.peerCount === 0)`,
  'a server that stopped': `
    const other = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await other.start('other')
    process.kill(process.pid, 'SIGUSR2')
    const port = other.listeningPort
    await other.stop()
    // The child still listens.
    await connectRaw(t, port)`
}
for (const [who, leave] of Object.entries(leavers)) {
  test(`a forked child that holds the socket of ${who} costs no processor time`, (t) => {
    const { polls, cpuMs } = run(
      t,
      `const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
      await server.start('server')
      ${leave}
      await pause(100)
      const { polls } = server.engine.counters
      const cpu = process.cpuUsage()
      await pause(500)
      const { user, system } = process.cpuUsage(cpu)
      console.log(JSON.stringify({ polls: server.engine.counters.polls - polls, cpuMs: (user + system) / 1000 }))`
    )
    t.true(polls < 500, `${polls} polls in 500 ms`)
    t.true(cpuMs < 100, `${cpuMs} ms of 500`)
  })
}

for (const host of ['127.0.0.1', '::1']) {
  test(`a socket that has connected to itself is a refused connection: ${host}`, (t) => {
    const { code } = run(
      t,
      `const free = createServer().listen(0, '${host}')
      await once(free, 'listening')
      const { port } = free.address()
      free.close()
      await once(free, 'close')
      process.env.ODDITY_CONNECTS_TO_ITSELF = '1'
      const error = await new ZerioClient({ host: '${host}', port }).start('client').catch((error) => error)
      console.log(JSON.stringify({ code: error?.code }))`
    )
    t.is(code, 'ECONNREFUSED')
  })
}

test("a hot connection that the set does not take back ends with the system's error", (t) => {
  const { code, goesOn } = run(
    t,
    `// So long that it is hot on a busy machine, too, when the last message comes.
    const options = { waitStrategy: 'hybrid', spinUs: 200_000, backend: '${alwaysThere}' }
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
    let reason
    server.on('clientDisconnected', (_id, why) => { reason = why })
    await server.start('server')
    const peer = await connectNative(t, server, 'peer')
    const other = await connectNative(t, server, 'other')
    await pause(100)
    let messages = 0
    server.onMessage = (from) => {
      if (from.id !== 'peer') messages = -1
      else if (++messages < 200) peer.write(dataFrame('again'))
      else process.env.ODDITY_NO_WATCHES = '1'
    }
    peer.write(dataFrame('first'))
    await until(() => reason !== undefined, 'an end', 5000)
    other.write(dataFrame('still there'))
    await until(() => messages === -1)
    console.log(JSON.stringify({ code: reason.code, goesOn: server.peerCount === 1 }))`
  )
  t.is(code, 'ENOSPC')
  t.true(goesOn)
})
