// An io_uring that is interrupted, short of memory or broken, and processes that fork, start others or end threads while operations
// are in flight.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { uring } from '../helpers/uring.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'zerio-'))
const faults = join(folder, 'uring_faults.so')
test.before(() => {
  const source = fileURLToPath(new URL('../helpers/uring_faults.c', import.meta.url))
  const flags = ['-O2', '-Wall', '-Werror', '-shared', '-fPIC']
  execFileSync(process.env.CC ?? 'cc', [...flags, source, '-o', faults, '-ldl'])
})
test.after.always(() => rmSync(folder, { recursive: true }))

let reports = 0

/** Runs a script under the faults. Returns its output, how it ended, and the report of the faults. */
function run(kind, script, without = '') {
  const report = join(folder, `report_${++reports}`)
  const result = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: root,
    encoding: 'utf8',
    timeout: 40_000,
    env: {
      ...process.env,
      ZERIO_BACKEND: 'io_uring',
      ZERIO_IO_URING_WITHOUT: without,
      URING_FAULTS: kind,
      URING_REPORT: report,
      LD_PRELOAD: faults
    }
  })
  const { status, signal, stdout, stderr } = result
  return { status, signal, stdout, stderr, report: JSON.parse(readFileSync(report, 'utf8')) }
}

// Eight clients send numbered messages of all sizes, get them back, and receive what the server broadcasts.
const traffic = (rounds, between = '') => `
  import { setTimeout as pause } from 'node:timers/promises'
  import { ZerioClient, ZerioServer } from 'zerio'
  const options = { lingerMs: 3000 }
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  server.onMessage = (peer, buffer, offset, length) => {
    if (peer.send(buffer, offset, length) !== 0) throw new Error('no room for an echo')
  }
  let gone = 0
  server.on('clientDisconnected', () => gone++)
  await server.start('server')
  const clients = []
  for (let i = 0; i < 8; i++) {
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
    const one = { client, sent: 0, echoed: 0, broadcasts: 0, closed: false }
    client.onMessage = (buffer, offset, length, channel) => {
      const number = buffer.readUInt32LE(offset)
      if (channel === 1 ? number !== one.broadcasts++ : number !== one.echoed++) throw new Error('another message')
      if (channel === 0 && (length !== sizeOf(number) || buffer[offset + length - 1] !== (number & 255)))
        throw new Error('a changed message')
    }
    client.on('disconnected', () => { one.closed = true })
    await client.start('client ' + i)
    clients.push(one)
  }
  const sizeOf = (number) => 5 + (number * 7919) % 20000
  let broadcasts = 0
  async function settle(done) {
    for (const end = Date.now() + 15000; !done();) {
      if (Date.now() > end) throw new Error('in vain')
      await pause(1)
    }
  }
  for (let round = 0; round < ${rounds}; round++) {
    for (const one of clients) {
      const message = Buffer.alloc(sizeOf(one.sent), one.sent)
      message.writeUInt32LE(one.sent++)
      message[message.length - 1] = (one.sent - 1) & 255
      if (one.client.send(message) !== 0) throw new Error('no room')
    }
    const all = Buffer.alloc(40)
    all.writeUInt32LE(broadcasts++)
    server.broadcast(all, 1)
    await settle(() => clients.every((one) => one.closed || (one.echoed === one.sent && one.broadcasts === broadcasts)))
    ${between}
  }
  const results = { echoed: clients.map((one) => one.echoed), closed: clients.filter((one) => one.closed).length }
  await Promise.all(clients.map(({ client }) => client.stop()))
  await server.stop()
  console.log(JSON.stringify({ ...results, gone }))
`

for (const without of ['', 'queues', 'incremental,multishot']) {
  uring(
    `submits that are interrupted, refused and taken by halves lose nothing, without ${without || 'nothing'}`,
    (t) => {
      const result = run('passing', traffic(60), without)
      t.like(result, { status: 0, signal: null, stderr: '' })
      t.deepEqual(JSON.parse(result.stdout), { echoed: Array(8).fill(60), closed: 0, gone: 8 })
      t.true(result.report.faults > 100, JSON.stringify(result.report))
    }
  )
}

// The server reports the end of each of its peers, and so do the clients in the same process, although they only receive.
for (const [kind, what, code] of [
  ['broken', 'no longer answers', 'ERRNO_77'],
  ['once', 'fails once with an unknown result', 'EFAULT'],
  ['refused', 'is out of memory', 'EAGAIN'],
  ['lost', 'has dropped a completion', 'ENOBUFS']
]) {
  uring(`a ring that ${what} ends the connections that used it, not the process`, (t) => {
    const script = `
      import { setTimeout as pause } from 'node:timers/promises'
      import { ZerioClient, ZerioServer } from 'zerio'
      const options = { lingerMs: 100 }
      const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
      const errors = []
      server.on('error', (error) => errors.push(error.code))
      await server.start('server')
      const clients = []
      const reasons = { peers: [], clients: [] }
      server.on('clientDisconnected', (id, reason) => reasons.peers.push(reason.code))
      for (let i = 0; i < 4; i++) {
        const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
        client.on('disconnected', (reason) => reasons.clients.push(reason.code))
        await client.start('client ' + i)
        clients.push(client)
      }
      const all = () => reasons.peers.length === 4 && reasons.clients.length === 4
      for (let round = 0; round < 500 && !all(); round++) {
        server.broadcast(Buffer.alloc(100))
        await pause(1)
      }
      const late = await clients[0].start('late').then(() => 'connected', (error) => error.code)
      const stopping = Date.now()
      await Promise.all([...clients.map((client) => client.stop()), server.stop()])
      console.log(JSON.stringify({ ...reasons, errors, late, slow: Date.now() - stopping > 2000 }))
    `
    const began = Date.now()
    const result = run(kind, script)
    t.like(result, { status: 0, signal: null, stderr: '' })
    t.true(Date.now() - began < 10_000, 'the end does not wait for what never comes')
    const { peers, clients, errors, late, slow } = JSON.parse(result.stdout)
    t.true([...peers, ...clients].includes(code), `${[...peers, ...clients]}`)
    t.deepEqual([peers.length, clients.length], [4, 4])
    t.deepEqual(errors, [code])
    t.is(late, code)
    t.false(slow)
    t.true(result.report.faults > 0)
  })
}

uring('a forked child has no ring, and the parent goes on', (t) => {
  const result = run('fork', traffic(60, `if (round === 20) process.kill(process.pid, 'SIGUSR2')`))
  t.like(result, { status: 0, signal: null, stderr: '' })
  t.deepEqual(JSON.parse(result.stdout), { echoed: Array(8).fill(60), closed: 0, gone: 8 })
  t.like(result.report, { forked: true, childStatus: 0 })
})

uring('a child process inherits neither ring nor sockets', (t) => {
  const listing = `if (round === 20) {
    const { spawnSync } = await import('node:child_process')
    const { readdirSync, readlinkSync } = await import('node:fs')
    const own = readdirSync('/proc/self/fd').map((fd) => { try { return readlinkSync('/proc/self/fd/' + fd) } catch { return '' } })
    if (!own.some((name) => name.includes('io_uring'))) throw new Error('this process has no ring')
    const theirs = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).stdout
    if (/io_uring|eventpoll/.test(theirs)) throw new Error(theirs)
  }`
  const result = run('none', traffic(30, listing))
  t.like(result, { status: 0, signal: null, stderr: '' })
})

uring('threads that end with everything in flight leave no ring behind', (t) => {
  const script = `
    import { once } from 'node:events'
    import { readdirSync, readlinkSync } from 'node:fs'
    import { connect } from 'node:net'
    import { setTimeout as pause } from 'node:timers/promises'
    import { Worker } from 'node:worker_threads'
    const rings = () => readdirSync('/proc/self/fd').filter((fd) => {
      try { return readlinkSync('/proc/self/fd/' + fd).includes('io_uring') } catch { return false }
    }).length
    const source = \`
      const { parentPort } = require('node:worker_threads')
      const { ZerioServer } = require('zerio')
      const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { handshakeTimeoutMs: 60000 })
      let messages = 0
      server.onMessage = (peer, buffer, offset, length) => {
        peer.send(buffer, offset, length)
        if (++messages === 2000) parentPort.postMessage('busy')
      }
      server.start('server').then(() => parentPort.postMessage(server.listeningPort))
    \`
    for (let round = 0; round < 8; round++) {
      const worker = new Worker(source, { eval: true, execArgv: [] })
      const [port] = await once(worker, 'message')
      const sockets = []
      const flood = Buffer.alloc(1004 * 60)
      for (let i = 0; i < 60; i++) flood.writeUInt32LE(1000, 1004 * i)
      for (let i = 0; i < 30; i++) {
        const socket = connect(port, '127.0.0.1')
        // Most read nothing, so that sends are in flight, too; some never say hello.
        socket.on('error', () => {})
        if (i % 3 === 0) socket.resume()
        if (i % 10 !== 9) {
          const id = 'peer ' + String(i).padStart(2, '0')
          const head = Buffer.alloc(20)
          head.writeUInt32LE(0x81000000 + 16 + id.length)
          head.write('ZRIO', 4); head[8] = 1; head.writeUInt16LE(id.length, 10); head.writeUInt32LE(65536, 12)
          socket.write(Buffer.concat([head, Buffer.from(id)]))
          const more = (error) => { if (!error && !socket.destroyed) socket.write(flood, more) }
          more()
        }
        sockets.push(socket)
      }
      await once(worker, 'message')
      if (rings() !== 1) throw new Error(rings() + ' rings')
      await worker.terminate()
      if (rings() !== 0) throw new Error(rings() + ' rings are left')
      for (const socket of sockets) socket.destroy()
    }
    console.log('done')
  `
  const result = run('none', script)
  t.like(result, { status: 0, signal: null, stderr: '', stdout: 'done\n' })
})
