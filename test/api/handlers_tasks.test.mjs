// Microtasks, process.nextTick, promises and timers of handlers run promptly, in each wait strategy.

import test from 'ava'
import { collect, ownEngine, startPair } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'

const tick = Buffer.from('tick')

for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'adaptive', 'manual']) {
  test.serial(`microtasks and ticks of a handler run before the next batch: ${waitStrategy}`, async (t) => {
    const { server, client } = await startPair(t, ownEngine({ waitStrategy }))
    const log = []
    server.onMessage = (_peer, buffer, offset) => {
      const index = buffer.readUInt32LE(offset)
      log.push(`message ${index}`)
      process.nextTick(() => log.push(`nextTick ${index}`))
      queueMicrotask(() => log.push(`microtask ${index}`))
    }
    const wait = waitStrategy === 'manual' ? (condition) => pollUntil(server, condition) : until
    for (let i = 0; i < 20; i++) {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32LE(i)
      client.send(bytes)
      await wait(() => log.length === 3 * (i + 1))
    }
    for (let i = 0; i < 20; i++) {
      t.is(log[3 * i], `message ${i}`)
      t.deepEqual(log.slice(3 * i + 1, 3 * i + 3).sort(), [`microtask ${i}`, `nextTick ${i}`])
    }
  })

  test.serial(
    `async handlers answer, and timers and immediates go on under load: ${waitStrategy}`,
    async (t) => {
      const { server, client } = await startPair(t, ownEngine({ waitStrategy }))
      const got = collect(client)
      let timers = 0
      let immediates = 0
      const timer = setInterval(() => timers++, 1)
      let running = true
      setImmediate(function again() {
        immediates++
        if (running) setImmediate(again)
      })
      server.on('message', async (id, bytes) => {
        await null
        if (bytes[0] % 2 === 0) await new Promise(setImmediate)
        server.send(id, bytes)
      })
      const wait = waitStrategy === 'manual' ? (condition) => pollUntil(server, condition) : until
      for (let i = 0; i < 100; i++) client.send(Buffer.from([i]))
      await wait(() => got.length === 100)
      // Traffic that never pauses.
      const before = { timers, immediates }
      client.on('message', () => client.send(tick))
      client.send(tick)
      await wait(() => got.length > 1000 && timers > before.timers + 5 && immediates > before.immediates + 5)
      running = false
      clearInterval(timer)
      t.is(new Set(got.slice(0, 100).map((one) => one.bytes[0])).size, 100)
    }
  )
}

test('an async handler that rejects causes an unhandled rejection, like anywhere in Node', async (t) => {
  const { runScript } = await import('../helpers/child.mjs')
  const result = await runScript(`
    import { ZerioClient, ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    const seen = []
    process.on('unhandledRejection', async (error) => {
      console.log(error.message)
      await client.stop()
      await server.stop()
    })
    server.onMessage = async () => { throw new Error('of an async handler') }
    await client.start('client')
    client.send(Buffer.from('x'))
  `)
  t.is(result.stdout, 'of an async handler\n')
  t.is(result.stderr, '')
  t.is(result.code, 0)
})
