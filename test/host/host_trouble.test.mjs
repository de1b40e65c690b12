// Exceptions, rejections, ticks and microtasks of handlers reach the process as from any other callback, and the next message comes.

import test from 'ava'
import { runScript } from '../helpers/child.mjs'

const script = (waitStrategy, handler, wanted = 1, more = '') => `
  import { PassThrough } from 'node:stream'
  import { setTimeout as pause } from 'node:timers/promises'
  import { ZerioClient, ZerioServer } from 'zerio'
  const seen = []
  process.on('uncaughtException', (error, origin) => seen.push(origin + ': ' + error.message))
  const options = { waitStrategy: '${waitStrategy}' }
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  let messages = 0
  server.onMessage = (peer, buffer, offset) => {
    if (++messages === 1) { ${handler} }
    else peer.send(Buffer.from('answer'))
  }
  ${more}
  await server.start('server')
  const peer = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, { receiveArenaBytes: 524288 })
  let answers = 0
  peer.onMessage = () => answers++
  await peer.start('client')
  const end = performance.now() + 10000
  const when = async (condition) => { while (!condition() && performance.now() < end) await pause(2) }
  peer.send(Buffer.from('question'))
  await when(() => seen.length >= ${wanted})
  // From outside of a handler, and then from one.
  server.peer('client').send(Buffer.from('news'))
  await when(() => answers >= 1)
  for (let i = 0; i < 2; i++) peer.send(Buffer.from('question'))
  await when(() => answers >= 3)
  await pause(5)
  const pending = server.peer('client')?.pendingBytes
  await peer.stop()
  const stopped = await Promise.race([server.stop().then(() => 'stopped'), pause(5000, 'pending')])
  console.log(JSON.stringify({ seen, answers, pending, stopped }))
  process.exit()
`

const throwing = {
  'a handler throws': ["throw new Error('of the handler')", ['uncaughtException: of the handler']],
  'a tick of a handler throws': [
    "process.nextTick(() => { throw new Error('of a tick') }); process.nextTick(() => seen.push('the next tick'))",
    ['uncaughtException: of a tick', 'the next tick']
  ],
  'a stream without an error listener is destroyed': [
    "new PassThrough().destroy(new Error('of a stream')); process.nextTick(() => seen.push('the next tick'))",
    ['uncaughtException: of a stream', 'the next tick']
  ],
  'a microtask of a handler throws': [
    "queueMicrotask(() => { throw new Error('of a microtask') }); queueMicrotask(() => seen.push('the next microtask'))",
    ['uncaughtException: of a microtask', 'the next microtask']
  ],
  'a promise of a handler is rejected': [
    "Promise.reject(new Error('of a promise')); process.nextTick(() => seen.push('the next tick'))",
    ['the next tick', 'unhandledRejection: of a promise']
  ],
  'a handler, its tick and its microtask throw': [
    "process.nextTick(() => { throw new Error('of a tick') }); queueMicrotask(() => { throw new Error('of a microtask') }); throw new Error('of the handler')",
    ['uncaughtException: of a microtask', 'uncaughtException: of a tick', 'uncaughtException: of the handler']
  ],
  'an immediate of a handler throws': [
    "setImmediate(() => { throw new Error('of an immediate') })",
    ['uncaughtException: of an immediate']
  ]
}

for (const waitStrategy of ['blocking', 'hybrid', 'adaptive', 'spin']) {
  for (const [name, [handler, expected]] of Object.entries(throwing)) {
    test(`${name}: ${waitStrategy}`, async (t) => {
      const { code, stdout, stderr } = await runScript(script(waitStrategy, handler, expected.length))
      t.is(stderr, '')
      t.is(code, 0)
      const { seen, ...rest } = JSON.parse(stdout)
      t.deepEqual(seen.sort(), expected.sort())
      t.deepEqual(rest, { answers: 3, pending: 0, stopped: 'stopped' })
    })
  }
}

test('an uncaughtException handler that throws itself ends the process, as from any callback', async (t) => {
  const { code, stdout, stderr } = await runScript(
    script(
      'blocking',
      "throw new Error('first')",
      1,
      "process.removeAllListeners('uncaughtException'); process.on('uncaughtException', () => { throw new Error('second') })"
    )
  )
  t.is(stdout, '')
  t.is(code, 7)
  t.regex(stderr, /Error: second/)
})

test('a rejection in a handler ends a process that handles no rejections', async (t) => {
  const source = script(
    'blocking',
    "Promise.reject(new Error('not handled'))",
    1,
    "process.removeAllListeners('uncaughtException')"
  )
  const { code, stdout, stderr } = await runScript(source)
  t.is(stdout, '')
  t.is(code, 1)
  t.regex(stderr, /Error: not handled/)
})
