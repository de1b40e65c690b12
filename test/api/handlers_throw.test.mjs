// A handler that throws: the exception reaches the process (or the caller of poll), and no later event is lost.

import test from 'ava'
import { runScript } from '../helpers/child.mjs'
import { ownEngine, startPair } from '../helpers/link.mjs'
import { pollUntil } from '../helpers/until.mjs'

/** Runs a server and a client in a process that collects uncaught exceptions; `body` runs once both are connected. */
function script(waitStrategy, body) {
  return `
    import { ZerioClient, ZerioServer } from 'zerio'
    const caught = []
    process.on('uncaughtException', (error) => caught.push(error.message))
    const until = async (condition) => {
      const end = Date.now() + 15000
      while (!condition()) {
        if (Date.now() > end) { console.log('in vain: ' + condition); process.exit(9) }
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    const options = { waitStrategy: '${waitStrategy}' }
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
    ${body}
    await client.stop()
    await server.stop()
  `
}

async function runs(t, waitStrategy, body) {
  const result = await runScript(script(waitStrategy, body))
  t.is(result.stderr, '')
  t.is(result.code, 0, result.stdout)
  return JSON.parse(result.stdout)
}

const strategies = ['blocking', 'spin', 'hybrid', 'adaptive']

for (const waitStrategy of strategies) {
  test(`an onMessage that throws for some messages still gets all messages of the batch: ${waitStrategy}`, async (t) => {
    const { got, caught } = await runs(
      t,
      waitStrategy,
      `
      const got = []
      server.onMessage = (peer, buffer, offset) => {
        const index = buffer.readUInt32LE(offset)
        got.push(index)
        if (index % 7 === 3) throw new Error('message ' + index)
      }
      await client.start('client')
      const bytes = Buffer.alloc(40)
      for (let i = 0; i < 100; i++) {
        bytes.writeUInt32LE(i)
        client.send(bytes)
      }
      await until(() => got.length === 100)
      await until(() => caught.length === 14)
      console.log(JSON.stringify({ got, caught }))
      `
    )
    const all = Array.from({ length: 100 }, (_, index) => index)
    t.deepEqual(got, all)
    t.deepEqual(
      caught,
      all.filter((index) => index % 7 === 3).map((index) => `message ${index}`)
    )
  })
}

test('a message listener that throws on either side loses no later message', async (t) => {
  const { got, caught } = await runs(
    t,
    'blocking',
    `
    const got = { server: [], client: [] }
    server.on('message', (id, bytes, channel, peer) => {
      got.server.push(bytes.toString())
      peer.send(bytes)
      throw new Error('server ' + bytes)
    })
    client.on('message', (bytes) => {
      got.client.push(bytes.toString())
      throw new Error('client ' + bytes)
    })
    await client.start('client')
    for (const text of ['a', 'b', 'c']) client.send(Buffer.from(text))
    await until(() => got.client.length === 3 && caught.length === 6)
    console.log(JSON.stringify({ got, caught: caught.sort() }))
    `
  )
  t.deepEqual(got, { server: ['a', 'b', 'c'], client: ['a', 'b', 'c'] })
  t.deepEqual(caught, ['client a', 'client b', 'client c', 'server a', 'server b', 'server c'])
})

test('listeners of the connection events that throw lose no later event', async (t) => {
  const { seen, caught, after } = await runs(
    t,
    'blocking',
    `
    const seen = []
    for (const event of ['clientConnected', 'clientDisconnected']) {
      server.on(event, () => { seen.push(event); throw new Error(event) })
    }
    for (const event of ['connected', 'disconnected']) {
      client.on(event, () => { seen.push(event); throw new Error(event) })
    }
    server.onMessage = (peer, buffer, offset, length) => {
      seen.push(buffer.toString('utf8', offset, offset + length))
    }
    await client.start('client')
    client.send(Buffer.from('hello'))
    await until(() => seen.includes('hello'))
    server.peer('client').close()
    await until(() => seen.includes('clientDisconnected') && seen.includes('disconnected'))
    await until(() => caught.length === 4)
    const after = { peers: server.peerCount, connected: client.isConnected }
    await client.start('client')
    client.send(Buffer.from('again'))
    await until(() => seen.includes('again'))
    server.removeAllListeners()
    client.removeAllListeners()
    console.log(JSON.stringify({ seen: seen.slice(), caught: caught.sort(), after }))
    `
  )
  t.deepEqual(after, { peers: 0, connected: false })
  t.deepEqual(caught.slice(0, 6), [
    'clientConnected',
    'clientConnected',
    'clientDisconnected',
    'connected',
    'connected',
    'disconnected'
  ])
  t.true(seen.indexOf('clientConnected') < seen.indexOf('hello'))
  t.true(seen.indexOf('hello') < seen.indexOf('clientDisconnected'))
})

test('an authenticate that throws refuses the newcomer, warns the process, and does not end it', async (t) => {
  const result = await runScript(`
    import { ZerioClient, ZerioServer } from 'zerio'
    const caught = []
    process.on('warning', (warning) => caught.push(warning.code, warning.cause.message))
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, {
      authenticate(id) {
        if (id === 'bad') throw new Error('who is that?')
        return true
      }
    })
    await server.start('server')
    const bad = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    const good = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    const refused = await bad.start('bad').then(() => 'taken', (error) => error.code)
    await good.start('good')
    console.log(JSON.stringify({ refused, caught, peers: server.peers.map((peer) => peer.id) }))
    await good.stop()
    await server.stop()
  `)
  t.regex(result.stderr, /ZerioError.*"authenticate" threw/)
  t.is(result.code, 0)
  t.deepEqual(JSON.parse(result.stdout), {
    refused: 'ZERIO_UNAUTHORIZED',
    caught: ['ZERIO_AUTHENTICATE_FAILED', 'who is that?'],
    peers: ['good']
  })
})

test('the process dies with the exception on stderr when it does not listen for uncaughtException', async (t) => {
  const result = await runScript(`
    import { ZerioClient, ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await server.start('server')
    server.onMessage = () => { throw new TypeError('of the handler') }
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    await client.start('client')
    client.send(Buffer.from('x'))
    setTimeout(() => process.exit(5), 15000)
  `)
  t.is(result.code, 1)
  t.regex(result.stderr, /TypeError: of the handler/)
})

test('manual: poll throws the exception of a handler, and the next poll goes on behind it', async (t) => {
  const { server, client } = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  const got = []
  server.onMessage = (_peer, buffer, offset) => {
    const index = buffer.readUInt32LE(offset)
    got.push(index)
    if (index % 5 === 4) throw new Error(`message ${index}`)
  }
  const bytes = Buffer.alloc(8)
  for (let i = 0; i < 50; i++) {
    bytes.writeUInt32LE(i)
    client.send(bytes)
  }
  client.flush()
  const caught = []
  const polling = {
    poll() {
      try {
        server.poll()
      } catch (error) {
        caught.push(error.message)
      }
    }
  }
  await pollUntil(polling, () => got.length === 50)
  t.deepEqual(
    got,
    got.map((_, index) => index)
  )
  for (let i = 0; i < 5; i++) polling.poll()
  t.is(got.length, 50)
  t.deepEqual(
    caught,
    got.filter((index) => index % 5 === 4).map((index) => `message ${index}`)
  )
})

test('messages that a handler sent before it threw are sent', async (t) => {
  const { server, client } = await startPair(t, ownEngine({ waitStrategy: 'manual' }))
  let answers = 0
  client.onMessage = () => answers++
  server.onMessage = (peer) => {
    peer.send(Buffer.from('answer'))
    throw new Error('after the answer')
  }
  client.send(Buffer.from('question'))
  let thrown = 0
  const polling = {
    poll() {
      try {
        server.poll()
      } catch {
        thrown++
      }
    }
  }
  await pollUntil(polling, () => answers === 1)
  t.is(thrown, 1)
})
