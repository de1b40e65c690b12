// The async context of handlers: that of start(), never what another peer's handler entered; and what async_hooks see.

import { AsyncLocalStorage, createHook, executionAsyncId } from 'node:async_hooks'
import { once } from 'node:events'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { ownEngine, startClient } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'

const store = new AsyncLocalStorage()
const byte = Buffer.from('x')

/** A server that was started inside of `context`, and clients of an engine of their own. */
async function startIn(t, context, options, names) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  t.teardown(() => server.stop())
  await store.run(context, () => server.start('server'))
  const clientOptions = ownEngine({ waitStrategy: 'blocking' })
  const clients = []
  for (const name of names) {
    const started = startClient(t, server, name, clientOptions)
    // A manual server accepts nothing by itself.
    if (options.waitStrategy === 'manual') await pollUntil(server, () => server.peer(name))
    clients.push(await started)
  }
  const wait = options.waitStrategy === 'manual' ? (condition) => pollUntil(server, condition) : until
  await wait(() => server.peerCount === names.length)
  return { server, clients, wait }
}

for (const waitStrategy of ['blocking', 'hybrid', 'adaptive', 'spin', 'manual']) {
  test(`a handler does not see what another peer's handler has entered: ${waitStrategy}`, async (t) => {
    const options = ownEngine({ waitStrategy })
    const { server, clients, wait } = await startIn(t, 'of start', options, ['alice', 'bob'])
    const seen = []
    // A program that polls by hand calls its handlers itself.
    const expected = 'of start'
    server.onMessage = (peer) => {
      seen.push([peer.id, store.getStore()])
      store.enterWith(`entered for ${peer.id}`)
    }
    for (let i = 0; i < 3; i++) {
      for (const client of clients) {
        const before = seen.length
        client.send(byte)
        await wait(() => seen.length > before)
      }
    }
    // And in one batch.
    const before = seen.length
    for (const client of clients) for (let i = 0; i < 3; i++) client.send(byte)
    await wait(() => seen.length === before + 6)
    const foreign = seen.filter(([id, context]) => context !== expected && context !== `entered for ${id}`)
    t.deepEqual(foreign, [])
    t.deepEqual(seen[0], ['alice', expected])
    t.deepEqual(seen[1], ['bob', expected])
    t.is(store.getStore(), undefined)
  })
}

for (const waitStrategy of ['blocking', 'hybrid', 'adaptive', 'spin']) {
  test(`events and messages have the context of start(): ${waitStrategy}`, async (t) => {
    const options = ownEngine({ waitStrategy })
    const seen = {}
    const note = (name) => () => {
      seen[name] ??= store.getStore()
    }
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
    t.teardown(() => server.stop())
    // Where a listener was added does not matter, as with any emitter.
    store.run('of on()', () => {
      server.on('clientConnected', note('clientConnected'))
      server.on('clientDisconnected', note('clientDisconnected'))
      server.on('message', note('message'))
      server.onMessage = (peer) => {
        note('onMessage')()
        peer.send(byte)
      }
    })
    await store.run('of the server', () => server.start('server'))
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
    t.teardown(() => client.stop())
    client.on('connected', note('connected'))
    client.on('disconnected', note('disconnected'))
    client.onMessage = note('onMessage of the client')
    await store.run('of the client', () => client.start('client'))
    store.run('of send()', () => client.send(byte))
    await until(() => seen['onMessage of the client'] !== undefined, 'the echo')
    server.peer('client').close()
    await until(() => seen.clientDisconnected !== undefined && seen.disconnected !== undefined, 'the end')
    t.deepEqual(seen, {
      clientConnected: 'of the server',
      clientDisconnected: 'of the server',
      message: 'of the server',
      onMessage: 'of the server',
      connected: 'of the client',
      disconnected: 'of the client',
      'onMessage of the client': 'of the client'
    })
  })

  test(`tasks that a handler schedules inherit the context that it has entered: ${waitStrategy}`, async (t) => {
    const options = ownEngine({ waitStrategy })
    const { server, clients } = await startIn(t, undefined, options, ['a', 'b', 'c'])
    const seen = []
    const wanted = []
    server.onMessage = (peer) => {
      const context = `request of ${peer.id}`
      const note = (how) => () =>
        seen.push(`${how}: ${store.getStore() === context ? 'its own' : store.getStore()}`)
      store.run(context, () => {
        process.nextTick(note('nextTick'))
        queueMicrotask(note('microtask'))
        setTimeout(note('timer'), 1)
        setImmediate(note('immediate'))
        const asynchronous = async () => {
          await null
          note('await')()
          await new Promise((resolve) => setTimeout(resolve, 1))
          note('second await')()
        }
        asynchronous()
      })
      wanted.push(...['nextTick', 'microtask', 'timer', 'immediate', 'await', 'second await'])
    }
    for (let i = 0; i < 3; i++) for (const client of clients) client.send(byte)
    await until(() => wanted.length === 54 && seen.length === 54, 'all that was scheduled')
    t.deepEqual(seen.sort(), wanted.map((how) => `${how}: its own`).sort())
  })

  test(`async_hooks see a resource for each endpoint or connection: ${waitStrategy}`, async (t) => {
    const created = new Map()
    const entered = new Set()
    const hook = createHook({
      init: (id, type) => created.set(id, type),
      before: (id) => entered.add(id)
    }).enable()
    t.teardown(() => hook.disable())
    const options = ownEngine({ waitStrategy })
    const { server, clients } = await startIn(t, undefined, options, ['a', 'b'])
    const ids = new Set()
    server.onMessage = () => ids.add(executionAsyncId())
    for (const client of clients) client.send(byte)
    await until(() => ids.size > 0)
    for (const id of ids) {
      t.not(id, 0)
      t.regex(created.get(id) ?? '', /zerio/i)
      t.true(entered.has(id))
    }
  })
}

test('await start() and await stop() keep the context of the caller', async (t) => {
  await store.run('of the caller', async () => {
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await server.start('server')
    t.is(store.getStore(), 'of the caller')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    await client.start('client')
    t.is(store.getStore(), 'of the caller')
    const gone = once(client, 'disconnected')
    await server.stop()
    t.is(store.getStore(), 'of the caller')
    await gone
    t.is(store.getStore(), 'of the caller')
    await client.stop()
    t.is(store.getStore(), 'of the caller')
  })
})
