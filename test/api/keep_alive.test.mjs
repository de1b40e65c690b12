// Keep-alive and user timeout: what the sockets of both sides are set to, as the system sees it.

import { createRequire } from 'node:module'
import test from 'ava'
import { runScript } from '../helpers/child.mjs'
import { addonPath } from '../helpers/wire_native.mjs'

const { native } = createRequire(import.meta.url)('../../dist/engine/native.js')
const backends = native.backends.filter((backend) => native.probeBackend(backend) === 0)

const SOCKET = 1
const TCP = 6
const options = {
  keepAlive: [SOCKET, 9],
  idleS: [TCP, 4],
  intervalS: [TCP, 5],
  probes: [TCP, 6],
  userTimeoutMs: [TCP, 18],
  noDelay: [TCP, 1]
}

/** What the sockets of a new connection, and of its listener, are set to. In a process of its own, which has no others. */
async function settingsOf(t, pairOptions, changes = {}) {
  const result = await runScript(`
        import { createRequire } from 'node:module'
    import { readdirSync, readlinkSync } from 'node:fs'
    import { ZerioClient, ZerioServer } from 'zerio'
    const ours = createRequire(process.cwd() + '/')(${JSON.stringify(addonPath)})
    const sockets = () => readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return readlinkSync('/proc/self/fd/' + fd).startsWith('socket:') ? [Number(fd)] : []
      } catch {
        return [] // The descriptor with which the folder was read.
      }
    })
    const before = sockets()
    const options = ${JSON.stringify(pairOptions)}
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
    await client.start('client')
    while (server.peer('client') === undefined) await new Promise(setImmediate)
    for (const one of [server.peer('client'), client]) one.configure(${JSON.stringify(changes)})
    const made = sockets().filter((fd) => !before.includes(fd))
    const asked = Object.entries(${JSON.stringify(options)})
    console.log(JSON.stringify(made.map((fd) => Object.fromEntries(asked.map(([name, [level, option]]) => [name, ours.socketOption(fd, level, option)])))))
    process.exit(0)
  `)
  t.is(result.stderr, '')
  const settings = JSON.parse(result.stdout)
  t.is(settings.length, 3)
  return settings
}

for (const backend of backends) {
  test.serial(`${backend}: the defaults find a dead host within a minute`, async (t) => {
    for (const socket of await settingsOf(t, { backend })) {
      t.like(socket, { keepAlive: 1, idleS: 15, intervalS: 10, probes: 3, userTimeoutMs: 45_000 })
      t.true(socket.idleS + socket.intervalS * socket.probes < 60)
    }
  })

  test.serial(`${backend}: options set other times`, async (t) => {
    for (const socket of await settingsOf(t, { backend, keepAliveMs: 0, userTimeoutMs: 0 })) {
      t.is(socket.keepAlive, 0)
      t.is(socket.userTimeoutMs, 0)
    }
    for (const socket of await settingsOf(t, { backend, keepAliveMs: 1001, userTimeoutMs: 1234 })) {
      t.like(socket, { keepAlive: 1, idleS: 2, intervalS: 1, probes: 3, userTimeoutMs: 1234 })
    }
  })

  test.serial(`${backend}: configure changes the sockets of the connection, and no others`, async (t) => {
    const from = { backend, noDelay: true, keepAliveMs: 0, userTimeoutMs: 0 }
    const to = { noDelay: false, keepAliveMs: 2000, userTimeoutMs: 5000 }
    for (const [before, after] of [
      [from, to],
      [to, from]
    ]) {
      const { backend: _, ...changes } = after
      const sockets = await settingsOf(t, { ...before, backend }, changes)
      const expected = { noDelay: Number(after.noDelay), keepAlive: Number(after.keepAliveMs > 0) }
      const changed = sockets.filter((one) => one.keepAlive === expected.keepAlive)
      t.is(changed.length, 2)
      for (const one of changed) t.like(one, { ...expected, userTimeoutMs: after.userTimeoutMs })
      if (after === to) for (const one of changed) t.like(one, { idleS: 2, intervalS: 1 })
    }
  })
}
