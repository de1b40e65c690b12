// A server reports what outsiders can cause again and again at a bounded rate with a count, and their words print nothing but text.

import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { DisconnectReason, ZerioClient, ZerioServer } from 'zerio'
import { runScript } from '../helpers/child.mjs'
import { startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import {
  CODE,
  connectNative,
  connectRaw,
  farewell,
  hello,
  OPCODE,
  startRawServer
} from '../helpers/wire_raw.mjs'

/** How many reports of one kind there may be after so long: a hundred at once, and one each 10 ms. */
const allowed = (ms) => 101 + ms / 10

test('a server reports a hundred refusals one by one, then the rest with a count, and forgets none', async (t) => {
  const server = await startServer(t, { lingerMs: 10_000 })
  const counts = []
  server.on('refused', (reason, { count }) => {
    t.is(reason.code, 'ZERIO_UNSUPPORTED_VERSION')
    counts.push(count)
  })
  const began = performance.now()
  const total = 600
  for (let i = 0; i < total; i += 20) {
    const raws = await Promise.all(Array.from({ length: 20 }, () => connectRaw(t, server.listeningPort)))
    for (const raw of raws) raw.write(hello({ version: 9 }))
    await until(() => server.counters.refused === i + 20)
  }
  const sum = () => counts.reduce((all, one) => all + one, 0)
  await until(() => sum() === total)
  t.true(counts.length <= allowed(performance.now() - began), `${counts.length} events`)
  t.deepEqual(counts.slice(0, 100), Array(100).fill(1))
  t.is(server.counters.refused, total)
})

test('stop reports the refusals that were not reported yet', async (t) => {
  const server = await startServer(t, { lingerMs: 10_000 })
  let sum = 0
  server.on('refused', (_, { count }) => {
    sum += count
  })
  const raws = await Promise.all(Array.from({ length: 150 }, () => connectRaw(t, server.listeningPort)))
  for (const raw of raws) raw.write(hello({ version: 9 }))
  await until(() => server.counters.refused === 150)
  for (const raw of raws) raw.socket.destroy()
  await server.stop()
  t.is(sum, 150)
})

/** Makes connections from a thread of its own that each send `frame` and end. Resolves when all of it is on its way. */
async function crowdThatEnds(t, port, count, frame) {
  const worker = new Worker(
    `
    const { connect } = require('node:net')
    const { parentPort, workerData } = require('node:worker_threads')
    let left = workerData.count
    for (let i = 0; i < workerData.count; i++) {
      const socket = connect(workerData.port, '127.0.0.1').resume().on('error', () => {})
      socket.end(workerData.frame, () => { if (--left === 0) parentPort.postMessage('sent') })
    }
    `,
    { eval: true, workerData: { port, count, frame } }
  )
  t.teardown(() => worker.terminate())
  await once(worker, 'message')
}

test('stop reports the last refusals of a server without connections, too', async (t) => {
  const total = 120
  const server = await startServer(t, { waitStrategy: 'manual' })
  let sum = 0
  server.on('refused', (_, { count }) => {
    sum += count
  })
  await crowdThatEnds(t, server.listeningPort, total, hello({ version: 9 }))
  // Without a turn of the loop, so that the last refusals are still to be reported.
  const { counters } = server
  for (const end = performance.now() + 10_000; performance.now() < end; ) {
    server.poll()
    if (counters.refused === total && counters.ended === 0 && counters.handshakes === 0) break
  }
  t.is(counters.refused, total)
  await server.stop()
  t.is(sum, total)
})

for (const [title, authenticate] of [
  [
    'throws',
    () => {
      throw new Error('broken')
    }
  ],
  ['gives no answer', () => 1]
]) {
  test(`a server reports errors of an authenticate that ${title} at a bounded rate, with a count`, async (t) => {
    const server = await startServer(t, { authenticate })
    const errors = []
    server.on('error', (error) => errors.push(error))
    const began = performance.now()
    const refuse = async (count) => {
      const before = server.counters.refused
      const raws = await Promise.all(Array.from({ length: count }, () => connectRaw(t, server.listeningPort)))
      for (const raw of raws) raw.write(hello({ id: 'x' }))
      await until(() => server.counters.refused === before + count)
    }
    for (let i = 0; i < 15; i++) await refuse(20)
    await pause(20)
    await refuse(1)
    t.is(
      errors.reduce((all, { count }) => all + count, 0),
      301
    )
    t.true(errors.length <= allowed(performance.now() - began), `${errors.length} events`)
    t.true(errors.every(({ code, count }) => code === 'ZERIO_AUTHENTICATE_FAILED' && count >= 1))
    t.is(errors[0].count, 1)
  })
}

test('a server without a listener for errors warns at the same rate, with the count in the text', async (t) => {
  const result = await runScript(`
    import { connect } from 'node:net'
    import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
    import { ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { authenticate: () => 1, lingerMs: 100 })
    await server.start('server')
    const began = performance.now()
    const refuse = async (count) => {
      const before = server.counters.refused
      for (let i = 0; i < count; i++) {
        const socket = connect(server.listeningPort, '127.0.0.1')
        socket.on('error', () => {}).on('data', () => {}).write(Buffer.from([1, 0, 0, 0, 65]))
      }
      while (server.counters.refused < before + count) await pause(1)
    }
    for (let i = 0; i < 15; i++) await refuse(20)
    await pause(20)
    await refuse(1)
    const ms = performance.now() - began
    await server.stop()
    console.log(JSON.stringify({ ms }))
  `)
  t.is(result.code, 0)
  const { ms } = JSON.parse(result.stdout)
  const lines = result.stderr.split('\n').filter((line) => line.includes('ZERIO_AUTHENTICATE_FAILED'))
  t.true(lines.length >= 100 && lines.length <= allowed(ms), `${lines.length} warnings in ${ms} ms`)
  const times = lines.map((line) => Number(/\((\d+) times\)/.exec(line)?.[1] ?? 1))
  t.is(
    times.reduce((all, one) => all + one, 0),
    301
  )
})

const hostile = 'a\x1b[2Jb\r\nc\u009b0md\u2028e\u202ef\u2066g\x7fh\u061ci\0'
const control = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u

test('the reason of a client that closes prints nothing but text', async (t) => {
  const server = await startServer(t)
  const reasons = []
  server.on('clientDisconnected', (_, reason) => reasons.push(reason))
  const raw = await connectNative(t, server)
  raw.write(farewell(OPCODE.close, 4000, hostile))
  await until(() => reasons.length === 1)
  t.is(reasons[0].message, 'a [2Jb c 0md e f g h i ')
  t.notRegex(String(reasons[0]), control)
})

test('the reason of a server that closes or refuses prints nothing but text', async (t) => {
  const server = await startServer(t)
  server.on('clientConnected', (_, peer) => peer.close(4001, hostile))
  // The other tests of this file keep the loop of a slow machine busy for long.
  const patient = { connectTimeoutMs: 60_000 }
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, patient)
  const reasons = []
  client.on('disconnected', (reason) => reasons.push(reason))
  await client.start('client')
  await until(() => reasons.length === 1)
  t.is(reasons[0].message, 'a [2Jb c 0md e f g h i ')

  const rawServer = await startRawServer(t)
  const refused = new ZerioClient({ host: '127.0.0.1', port: rawServer.port }, patient)
  const started = t.throwsAsync(refused.start('client'))
  const raw = await rawServer.next()
  raw.write(farewell(OPCODE.reject, CODE.unauthorized, hostile))
  const error = await started
  t.is(error.code, 'ZERIO_UNAUTHORIZED')
  t.true(error.message.includes('a [2Jb c 0md e f g h i '))
  t.notRegex(error.message, control)
})

test('the id of a peer in a message prints nothing but text', async (t) => {
  const server = await startServer(t, { authenticate: () => 'nothing' })
  const errors = []
  server.on('error', (error) => errors.push(error))
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(hello({ id: 'a\u2028b\u202ec' }))
  await until(() => errors.length === 1)
  t.true(errors[0].message.includes("the peer 'a b c' was refused"))
  t.notRegex(errors[0].message, control)
})

test('reasons of any alphabet stay as they are', (t) => {
  for (const text of ['Grüße, мир, 世界, 👩‍👩‍👧', 'שלום', 'مرحبا', 'a\u00a0b']) {
    t.is(new DisconnectReason(4000, text, 0, false).message, text)
  }
})

test('arguments of a call in its message print nothing but text', (t) => {
  const error = t.throws(() => new ZerioServer({ host: 'a', port: '1\u202e\u0085' }))
  t.notRegex(error.message, control)
})
