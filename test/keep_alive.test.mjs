// Keep-alive and user timeout: what the sockets of both sides are set to, as the system sees it.

import { readdirSync, readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import test from 'ava'
import { startPair } from './helpers/link.mjs'
import { native as ours } from './helpers/wire_native.mjs'

const { native } = createRequire(import.meta.url)('../dist/native.js')
const backends = native.backends.filter((backend) => native.probeBackend(backend) === 0)
const linux = process.platform === 'linux' ? test.serial : test.serial.skip

const SOCKET = 1
const TCP = 6
const options = {
  keepAlive: [SOCKET, 9],
  idleS: [TCP, 4],
  intervalS: [TCP, 5],
  probes: [TCP, 6],
  userTimeoutMs: [TCP, 18]
}

/** The sockets of this process, by what /proc calls them. */
function sockets() {
  const found = new Map()
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const name = readlinkSync(`/proc/self/fd/${fd}`)
      if (name.startsWith('socket:')) found.set(name, Number(fd))
    } catch {
      // The descriptor with which the folder was read.
    }
  }
  return found
}

/** What the sockets of a new connection, and of its listener, are set to. */
async function settingsOf(t, pairOptions) {
  const before = sockets()
  await startPair(t, pairOptions)
  const made = [...sockets()].filter(([name]) => !before.has(name))
  t.is(made.length, 3)
  return made.map(([, fd]) =>
    Object.fromEntries(
      Object.entries(options).map(([name, [level, option]]) => [name, ours.socketOption(fd, level, option)])
    )
  )
}

for (const backend of backends) {
  linux(`${backend}: the defaults find a dead host within a minute`, async (t) => {
    for (const socket of await settingsOf(t, { backend })) {
      t.deepEqual(socket, { keepAlive: 1, idleS: 15, intervalS: 10, probes: 3, userTimeoutMs: 45_000 })
      t.true(socket.idleS + socket.intervalS * socket.probes < 60)
    }
  })

  linux(`${backend}: options say otherwise`, async (t) => {
    for (const socket of await settingsOf(t, { backend, keepAliveMs: 0, userTimeoutMs: 0 })) {
      t.is(socket.keepAlive, 0)
      t.is(socket.userTimeoutMs, 0)
    }
    for (const socket of await settingsOf(t, { backend, keepAliveMs: 1001, userTimeoutMs: 1234 })) {
      t.deepEqual(socket, { keepAlive: 1, idleS: 2, intervalS: 1, probes: 3, userTimeoutMs: 1234 })
    }
  })
}
