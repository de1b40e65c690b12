// NODE_DEBUG=zerio: a line for each thing that happens to a server or a client, none for a message, and nothing without it.
import test from 'ava'
import { runScript } from '../helpers/child.mjs'

const script = `
  import { once } from 'node:events'
  import { ZerioClient, ZerioServer } from 'zerio'
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  await server.start('exchange')
  const port = server.listeningPort
  const reconnect = { delayMs: 5, jitter: 0 }
  const client = new ZerioClient({ host: '127.0.0.1', port }, { reconnect })
  client.name = 'desk\\n1'
  server.on('clientConnected', (_, peer) => { peer.name = 'desk 2' })
  await client.start('trader')
  const other = new ZerioClient({ host: '127.0.0.1', port })
  await other.start('trader').catch(() => {})
  let left = 1000
  const done = new Promise((resolve) => { server.onMessage = () => { if (--left === 0) resolve() } })
  for (let i = 0; i < 1000; i++) client.send(Buffer.alloc(10))
  await done
  server.peer('trader').close(4000, 'come back')
  await once(client, 'connected')
  server.stopListening()
  const gone = once(client, 'reconnecting')
  server.peer('trader').terminate()
  await gone
  await client.stop()
  await server.stop()
  console.log(JSON.stringify({ port }))`

async function linesOf(t, nodeDebug) {
  const { NODE_DEBUG } = process.env
  process.env.NODE_DEBUG = nodeDebug
  t.teardown(() => {
    if (NODE_DEBUG === undefined) delete process.env.NODE_DEBUG
    else process.env.NODE_DEBUG = NODE_DEBUG
  })
  const { code, stdout, stderr } = await runScript(script)
  t.is(code, 0, stderr)
  return { port: JSON.parse(stdout).port, lines: stderr.split(/\r?\n/).filter((line) => line !== '') }
}

test.serial('what happens, in order, of each side', async (t) => {
  const { port, lines } = await linesOf(t, 'zerio')
  const texts = lines.map((line) => {
    t.regex(line, /^ZERIO \d+: /)
    return line.replace(/^ZERIO \d+: /, '').replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')
  })
  const of = (pattern) => texts.filter((text) => pattern.test(text))
  const server = of(/^server/)
  t.regex(server[0], new RegExp(`^server exchange listens on 127\\.0\\.0\\.1 port ${port}, by \\w+$`))
  t.deepEqual(server.slice(1), [
    'server exchange: peer trader is here, native, from ADDRESS',
    'server exchange has refused 1: ZERIO_DUPLICATE_PEER_ID, another connected peer has this id; trader from ADDRESS',
    'server exchange: peer desk 2 (trader) has left: ZERIO_APPLICATION, come back',
    'server exchange: peer trader is here, native, from ADDRESS',
    'server exchange listens no more; peers: 1',
    'server exchange: peer desk 2 (trader) has left: ZERIO_ABORTED, the connection was aborted',
    'server exchange stops',
    'server exchange has stopped'
  ])
  const client = of(/^client/)
  t.deepEqual(client.filter((text) => !/disconnected|tries again/.test(text)).slice(0, 5), [
    `client desk 1 (trader) connects to 127.0.0.1 port ${port}`,
    'client desk 1 (trader) is connected to exchange, from ADDRESS',
    `client trader connects to 127.0.0.1 port ${port}`,
    `client desk 1 (trader) connects to 127.0.0.1 port ${port}`,
    'client desk 1 (trader) is connected to exchange, from ADDRESS'
  ])
  t.deepEqual(
    of(/tries again/)[0],
    'client desk 1 (trader) tries again in 5 ms: ZERIO_APPLICATION, come back'
  )
  t.is(of(/^client desk 1 \(trader\) is disconnected: /).length, 2)
  t.is(of(/^client desk 1 \(trader\) stops: ZERIO_STOPPED$/).length, 1)
  t.is(
    of(/^a connection to 127\.0\.0\.1 could not be made: /)[0],
    'a connection to 127.0.0.1 could not be made: ZERIO_DUPLICATE_PEER_ID, another connected peer has this id'
  )
  // A thousand messages have none.
  t.true(texts.length < 30, texts.join('\n'))
})

test.serial('nothing is written when it is not asked for', async (t) => {
  t.deepEqual((await linesOf(t, '')).lines, [])
  t.deepEqual((await linesOf(t, 'other')).lines, [])
})
