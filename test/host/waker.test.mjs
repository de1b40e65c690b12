// engine.waker: another thread makes the engine's thread run a function.
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { MessageChannel, Worker } from 'node:worker_threads'
import test from 'ava'
import { Waker, ZerioClient, ZerioServer } from 'zerio'
import { assertNoGarbage } from 'zerio/gc'
import { runScript } from '../helpers/child.mjs'
import { startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const strategies = ['blocking', 'spin', 'hybrid', 'adaptive', 'manual']

/** A thread that wakes the waker that it got: whenever it is asked to, `count` times. */
function startWaking(t, waker) {
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
    const { Waker } = require('zerio')
    const waker = Waker.from(workerData.waker)
    parentPort.on('message', ({ count, words }) => {
      let answers = 0
      for (let i = 0; i < count; i++) {
        if (words !== undefined) Atomics.add(words, 0, 1)
        if (waker.wake()) answers++
      }
      parentPort.postMessage(answers)
    })`,
    { eval: true, execArgv: [], workerData: { waker } }
  )
  t.teardown(() => worker.terminate())
  return async (count, words) => {
    worker.postMessage({ count, words })
    return (await once(worker, 'message'))[0]
  }
}

for (const waitStrategy of strategies) {
  test(`another thread wakes a thread that has nothing else to do: ${waitStrategy}`, async (t) => {
    const server = await startServer(t, { waitStrategy, maxMessageLength: 2048 })
    const { waker } = server.engine
    let runs = 0
    waker.onWake = () => runs++
    const wake = startWaking(t, waker)
    for (let round = 1; round <= 5; round++) {
      t.is(await wake(1), 1)
      await until(() => runs === round)
    }
  })
}

test('many calls before it runs are one, and it sees what was written before', async (t) => {
  const server = await startServer(t, { maxMessageLength: 4096 })
  const { waker } = server.engine
  const words = new Int32Array(new SharedArrayBuffer(4))
  const seen = []
  waker.onWake = () => seen.push(Atomics.load(words, 0))
  t.true(waker.wake())
  t.true(waker.wake())
  t.true(waker.wake())
  await until(() => seen.length > 0)
  await pause(20)
  t.deepEqual(seen, [0])
  const wake = startWaking(t, waker)
  t.is(await wake(1000, words), 1000)
  await until(() => seen.at(-1) === 1000)
  t.true(seen.length <= 1001)
})

test('what onWake sends leaves at once', async (t) => {
  const server = await startServer(t, { maxMessageLength: 512 })
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, { maxMessageLength: 512 })
  t.teardown(() => client.stop())
  await client.start('client')
  t.is(client.engine.waker, server.engine.waker)
  client.engine.waker.onWake = () => client.send(Buffer.from('woken'))
  const wake = startWaking(t, client.engine.waker)
  const answer = once(client, 'message')
  await wake(1)
  t.is(String((await answer)[0]), 'woken')
})

test('a wake-up from onWake runs it again, in another turn', async (t) => {
  const server = await startServer(t, { maxMessageLength: 8192 })
  const { waker } = server.engine
  let runs = 0
  let inside = false
  waker.onWake = () => {
    t.false(inside)
    inside = true
    if (++runs < 3) waker.wake()
    inside = false
  }
  waker.wake()
  await until(() => runs === 3)
  waker.onWake = null
  t.true(waker.wake())
  await pause(10)
  t.is(runs, 3)
  // It was not lost.
  waker.onWake = () => runs++
  await until(() => runs === 4)
  await pause(10)
  t.is(runs, 4)
})

test('with the end of the engine it wakes nothing, and a new engine has another one', async (t) => {
  const options = { maxMessageLength: 16384 }
  const server = await startServer(t, options)
  const { engine } = server
  const { waker } = engine
  const wake = startWaking(t, waker)
  t.is(await wake(1), 1)
  await pause(10)
  waker.onWake = () => t.fail()
  await server.stop()
  t.is(await wake(3), 0)
  t.false(waker.wake())
  t.is(waker.onWake, null)
  t.is(engine.waker, waker)
  await server.start('server')
  t.not(server.engine.waker, waker)
  t.false(waker.wake())
  t.true(server.engine.waker.wake())
})

test('it runs in the async context in which it was set', async (t) => {
  const server = await startServer(t, { maxMessageLength: 10240 })
  const store = new AsyncLocalStorage()
  const { waker } = store.run('got', () => server.engine)
  const seen = []
  for (const name of ['first', 'second']) {
    store.run(name, () => {
      waker.onWake = () => seen.push(store.getStore())
    })
    store.run('other', () => waker.wake())
    await until(() => seen.at(-1) === name)
  }
  t.deepEqual(seen, ['first', 'second'])
})

test('a function that always wakes itself keeps nothing else from its turn', async (t) => {
  const server = await startServer(t, { maxMessageLength: 7168 })
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  const client = new ZerioClient(
    { host: '127.0.0.1', port: server.listeningPort },
    { maxMessageLength: 7168 }
  )
  t.teardown(() => client.stop())
  await client.start('client')
  const { waker } = server.engine
  let turns = 0
  let runs = 0
  const turn = () => {
    turns++
    if (turns < 200) setImmediate(turn)
  }
  waker.onWake = () => {
    runs++
    if (turns < 200) waker.wake()
  }
  waker.wake()
  turn()
  for (let i = 0; i < 20; i++) {
    const answer = once(client, 'message')
    client.send(Buffer.from('oui'))
    await answer
  }
  await until(() => turns === 200)
  t.true(runs <= 2 * turns + 200, `${runs} runs in ${turns} turns`)
})

test('one that is asked for after the end of its engine wakes nothing', async (t) => {
  const server = await startServer(t, { maxMessageLength: 16380 })
  const { engine } = server
  await server.stop()
  t.false(engine.waker.wake())
})

test('a waker can be posted, and posted on', async (t) => {
  const server = await startServer(t, { maxMessageLength: 3072 })
  let runs = 0
  server.engine.waker.onWake = () => runs++
  const { port1, port2 } = new MessageChannel()
  t.teardown(() => port1.close())
  port1.postMessage(Waker.from(server.engine.waker))
  const [posted] = await once(port2, 'message')
  t.deepEqual(Object.keys(posted), ['number'])
  t.true(Waker.from(posted).wake())
  await until(() => runs === 1)
})

test('anything else is refused', async (t) => {
  for (const wrong of [
    undefined,
    null,
    5,
    {},
    { number: '1' },
    { number: -1 },
    { number: 0.5 },
    { number: 2 ** 32 }
  ])
    t.throws(() => Waker.from(wrong), { code: 'ZERIO_BAD_ARGUMENT' })
  t.false(Waker.from({ number: 12345 }).wake())
  const server = await startServer(t, { maxMessageLength: 6144 })
  for (const wrong of [5, 'f', {}])
    t.throws(() => (server.engine.waker.onWake = wrong), { code: 'ZERIO_BAD_ARGUMENT' })
})

test.serial('a wake-up makes no garbage', async (t) => {
  const server = await startServer(t, { maxMessageLength: 12288 })
  const { waker } = server.engine
  const other = new ZerioServer({ host: '127.0.0.1', port: 0 }, { maxMessageLength: 12280 })
  t.teardown(() => other.stop())
  await other.start('other')
  // So that V8 cannot take the number of one for a constant.
  const wakers = [waker, other.engine.waker]
  t.true(wakers.every(({ number }) => number < 2 ** 30))
  let runs = 0
  waker.onWake = () => runs++
  t.notThrows(() => assertNoGarbage(() => wakers[runs & 1].wake()))
})

test.serial('it keeps no process alive, and what onWake throws is an uncaught exception', async (t) => {
  const prefix = `
    import { ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await server.start('server')
    const { waker } = server.engine`
  const idle = await runScript(`${prefix}
    waker.onWake = () => console.log('woken')
    setTimeout(() => server.unref(), 10)
    waker.wake()`)
  t.is(idle.stderr, '')
  t.is(idle.stdout, 'woken\n')
  t.is(idle.code, 0)
  const throwing = await runScript(`${prefix}
    process.once('uncaughtException', (error) => {
      console.log(error.message)
      waker.onWake = () => server.stop()
      waker.wake()
    })
    waker.onWake = () => { throw new Error('of onWake') }
    waker.wake()`)
  t.is(throwing.stderr, '')
  t.is(throwing.stdout, 'of onWake\n')
  t.is(throwing.code, 0)
})

test.serial('threads that end while others wake them leave the process healthy', async (t) => {
  const result = await runScript(`
    import { once } from 'node:events'
    import { Worker } from 'node:worker_threads'
    import { Waker } from 'zerio'
    const code = \`
      const { parentPort } = require('node:worker_threads')
      const { ZerioServer } = require('zerio')
      const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
      server.start('server').then(() => {
        server.engine.waker.onWake = () => {}
        parentPort.postMessage(server.engine.waker)
      })\`
    let woken = 0
    for (let round = 0; round < 20; round++) {
      const worker = new Worker(code, { eval: true, execArgv: [] })
      const waker = Waker.from((await once(worker, 'message'))[0])
      let ended = false
      const end = worker.terminate().then(() => { ended = true })
      while (!ended) {
        for (let i = 0; i < 100; i++) if (waker.wake()) woken++
        await new Promise(setImmediate)
      }
      await end
      if (waker.wake()) throw new Error('it wakes a thread that has ended')
    }
    console.log(woken > 0)
  `)
  t.is(result.stderr, '')
  t.is(result.stdout, 'true\n')
  t.is(result.code, 0)
})
