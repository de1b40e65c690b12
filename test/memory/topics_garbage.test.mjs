// No garbage: after warm-up, publishing in every way without a single collection, as --trace-gc sees it, members that lag and members
// that come and go included.
import test from 'ava'
import { runScript } from '../helpers/child.mjs'

const ROUNDS = 60_000
/** Long enough for a slow and busy system. */
const LIMIT_MS = 240_000

/** `publish` is what the server does in each round. */
const script = (publish, rounds) => `
  import { ZerioClient, ZerioServer } from 'zerio'
  const options = { waitStrategy: 'manual', maxMessageLength: 1024, sendRingBytes: 16384, socketSendBytes: 16384 }
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  await server.start('server')
  const clients = []
  let received = 0
  for (let i = 0; i < 4; i++) {
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
    client.onMessage = () => { received++ }
    await client.start('client ' + i)
    clients.push(client)
  }
  while (server.peerCount < 4) server.poll()
  const peers = server.peers
  const skip = server.topic('skip')
  const close = server.topic('close', { slow: 'close', pendingBytesMax: 16384 })
  const latest = server.topic('latest', { slow: 'latest', keysMax: 64, valueBytesMax: 64 })
  for (const topic of [skip, close, latest]) for (const peer of peers) topic.add(peer)
  const bytes = Buffer.alloc(100, 'x')
  const value = new Uint8Array(64)
  let key = 0
  const publish = () => { ${publish} }
  const run = async (rounds) => {
    for (let i = 0; i < rounds; i++) {
      publish()
      server.flush()
      server.poll()
    }
  }
  await run(60000)
  for (let i = 0; i < 20; i++) { await new Promise(setImmediate); server.poll() }
  globalThis.gc()
  globalThis.gc()
  await run(${rounds})
  globalThis.gc()
  console.log(JSON.stringify({ received, counters: [skip, close, latest].map((topic) => topic.counters.toJSON()) }))
  process.exit(0)
`

/** 300 peers that are sent something of their own in each turn. They are sockets of another process, which reads and drops. */
const crowd = `
  import { spawn } from 'node:child_process'
  import { ZerioServer } from 'zerio'
  const options = { maxMessageLength: 1024, sendRingBytes: 16384 }
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  await server.start('server')
  const child = spawn(process.execPath, ['-e', \`
    const { connect } = require('node:net')
    process.stdin.resume().on('end', () => process.exit())
    for (let i = 0; i < 300; i++) {
      const id = Buffer.from('peer' + String(i).padStart(4, '0'))
      const hello = Buffer.alloc(4 + id.length)
      hello.writeUInt32LE(id.length)
      id.copy(hello, 4)
      connect(\${server.listeningPort}, '127.0.0.1').on('error', () => {}).resume().write(hello)
    }
  \`], { stdio: ['pipe', 'ignore', 'inherit'] })
  while (server.peerCount < 300) await new Promise(setImmediate)
  const peers = server.peers
  const bytes = Buffer.alloc(20)
  const run = (turns) => new Promise((resolve) => {
    const turn = () => {
      for (let i = 0; i < peers.length; i++) peers[i].send(bytes)
      if (--turns > 0) setImmediate(turn)
      else resolve()
    }
    turn()
  })
  await run(1000)
  globalThis.gc()
  globalThis.gc()
  await run(4000)
  globalThis.gc()
  process.exit(0)
`

/** What V8 collected between the last two collections that the script asked for. */
function collectionsBetween(t, stdout) {
  const lines = stdout.split(/\r?\n/).filter((line) => /^\[\d+:/.test(line))
  const asked = lines.flatMap((line, index) => (line.includes(' testing;') ? [index] : []))
  t.is(asked.length, 3, stdout)
  return lines.slice(asked[1] + 1, asked[2])
}

async function run(t, publish, rounds = ROUNDS) {
  t.timeout(LIMIT_MS)
  const result = await runScript(script(publish, rounds), {
    timeoutMs: LIMIT_MS,
    // A young generation of 1 MiB: 17 bytes of garbage in each round would show. V8 compiles at once, however busy the machine is.
    flags: ['--trace-gc', '--expose-gc', '--max-semi-space-size=1', '--no-concurrent-recompilation']
  })
  t.is(result.stderr, '')
  t.is(result.code, 0, result.stdout)
  const { received, counters } = JSON.parse(result.stdout.match(/^\{"received".*$/m)[0])
  return { collections: collectionsBetween(t, result.stdout), received, counters }
}

const ways = {
  'publish, whole': 'skip.publish(bytes)',
  'publish, a part on a channel': 'skip.publish(bytes, 10, 60, 5)',
  publishExcept: 'skip.publishExcept(peers[1], bytes, 10, 60)',
  'claim and commit': 'skip.view.setInt32(skip.claim(32), received, true); skip.commit()',
  'close, with a limit': 'close.publish(bytes)',
  'set, whole and in part': 'latest.set(key++ & 63, value); latest.set(key & 63, bytes, 10, 20)',
  'joining and leaving':
    'skip.delete(peers[2]); skip.add(peers[2]); latest.delete(peers[3]); latest.add(peers[3]); skip.publish(bytes)'
}
for (const [name, publish] of Object.entries(ways)) {
  test.serial(`${ROUNDS} rounds without a collection: ${name}`, async (t) => {
    // On a busy machine V8 still compiles during these rounds, and code that is not compiled yet allocates. Garbage of each round would
    // be collected every time.
    let collections
    for (let attempts = 0; attempts < 4 && collections?.length !== 0; attempts++) {
      const result = await run(t, publish)
      collections = result.collections
      t.true(result.received >= 3 * ROUNDS)
      t.is(result.counters[1].closed, 0)
    }
    t.deepEqual(collections, [])
  })
}

test.serial('members that lag and catch up cost no collection', async (t) => {
  // More than a ring has room for, and more than the system takes at once.
  const lagging = `
    for (let i = 0; i < 300; i++) peers[0].send(bytes)
    for (let i = 0; i < 64; i++) latest.set(i, value)`
  const { collections, counters } = await run(t, lagging, 6000)
  t.deepEqual(collections, [])
  t.true(counters[2].conflated > 6000)
})

test.serial('more rings than one flush takes: 4,000 turns without a collection', async (t) => {
  t.timeout(LIMIT_MS)
  // Node.js allocates in each turn of the loop, but not a list of rings: 4 KB, which would fill this young generation ten times. As above,
  // on a busy machine V8 may compile late; a list of each turn would be there every time.
  let collections
  for (let attempts = 0; attempts < 4 && !(collections?.length <= 3); attempts++) {
    const result = await runScript(crowd, {
      timeoutMs: LIMIT_MS,
      flags: ['--trace-gc', '--expose-gc', '--max-semi-space-size=1', '--no-concurrent-recompilation']
    })
    t.is(result.code, 0, result.stderr)
    collections = collectionsBetween(t, result.stdout)
  }
  t.true(collections.length <= 3, collections.join('\n'))
})

test.serial('the test notices one small object for each round', async (t) => {
  const { collections } = await run(t, 'globalThis.kept = { received }; skip.publish(bytes)')
  t.regex(collections.join('\n'), /Scavenge/)
})
