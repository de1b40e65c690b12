// ref() and unref(): what keeps a process alive.

import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { runScript } from '../helpers/child.mjs'

const pair = (waitStrategy) => `
  import { ZerioClient, ZerioServer } from 'zerio'
  const options = { waitStrategy: '${waitStrategy}' }
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  await server.start('server')
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
  await client.start('client')
  let state = 'early'
  process.on('exit', () => console.log(state))
  // Nothing keeps the process alive for it.
  const later = (action) => setTimeout(() => {
    state = 'late'
    action()
  }, 50).unref()
`

async function ends(t, source, expected) {
  const { code, signal, stdout, stderr } = await runScript(source, { timeoutMs: 20_000 })
  t.deepEqual(
    { code, signal, stdout, stderr },
    { code: 0, signal: null, stdout: `${expected}\n`, stderr: '' }
  )
}

for (const waitStrategy of ['blocking', 'hybrid', 'adaptive', 'spin']) {
  test(`a process ends when only unreferenced endpoints are left: ${waitStrategy}`, (t) =>
    ends(t, `${pair(waitStrategy)} server.unref(); client.unref()`, 'early'))

  test(`one referenced endpoint keeps the process alive: ${waitStrategy}`, async (t) => {
    for (const [left, other] of [
      ['server', 'client'],
      ['client', 'server']
    ])
      await ends(t, `${pair(waitStrategy)} ${other}.unref(); later(() => ${left}.unref())`, 'late')
  })

  test(`ref() takes unref() back, however often either was called: ${waitStrategy}`, (t) =>
    ends(
      t,
      `${pair(waitStrategy)}
      for (const one of [server, client]) one.unref().unref().ref().ref()
      later(() => { server.unref(); client.unref() })`,
      'late'
    ))

  test(`an unreferenced endpoint works while something else keeps the process alive: ${waitStrategy}`, (t) =>
    ends(
      t,
      `${pair(waitStrategy)}
      server.unref()
      client.unref()
      let echoes = 0
      client.onMessage = () => { if (++echoes < 10) client.send(Buffer.from('x')) }
      const timer = setInterval(() => {
        if (echoes < 10) return
        clearInterval(timer)
        state = 'late'
      }, 5)
      client.send(Buffer.from('x'))`,
      'late'
    ))

  test(`unref() counts before start(), and after a second start(): ${waitStrategy}`, (t) =>
    ends(
      t,
      `
      import { ZerioServer } from 'zerio'
      process.on('exit', () => console.log('early'))
      const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { waitStrategy: '${waitStrategy}' }).unref()
      await server.start('server')
      await server.stop()
      await server.start('server')`,
      'early'
    ))
}

test('stop() of an unreferenced endpoint resolves before the process ends', (t) =>
  ends(
    t,
    `${pair('blocking')}
    server.unref()
    client.unref()
    await client.stop()
    await server.stop()
    console.log('stopped')`,
    'stopped\nearly'
  ))

test('start() of an unreferenced endpoint resolves before the process ends', (t) =>
  ends(
    t,
    `${pair('blocking')}
    const other = new ZerioClient({ host: 'localhost', port: server.listeningPort }, options).unref()
    server.unref()
    client.unref()
    await other.start('other')
    console.log('started')`,
    'started\nearly'
  ))

test('ref() and unref() return their object, in every state', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  const client = new ZerioClient({ host: '127.0.0.1', port: 1 })
  for (const one of [server, client]) {
    t.is(one.unref(), one)
    t.is(one.ref(), one)
  }
  await server.start('server')
  t.is(server.unref(), server)
  t.is(server.ref(), server)
  await server.stop()
  t.is(server.unref(), server)
  t.is(server.ref(), server)
})
