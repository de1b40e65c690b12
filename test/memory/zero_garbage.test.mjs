// No garbage: after warm-up, hundreds of thousands of round trips without a single collection, as --trace-gc sees it. Where the loop
// serves the engine, Node.js makes an object in each iteration of its loop (56 bytes in Node 20 to 24, none in 26): no more than that.

import test from 'ava'
import { runScript } from '../helpers/child.mjs'

const ROUND_TRIPS = 300_000
/** Long enough for a slow and busy system. */
const LIMIT_MS = 120_000
/** What Node.js itself makes in an iteration of its loop, rounded up. */
const LOOP_BYTES = Number(process.versions.node.split('.')[0]) < 26 ? 64 : 8
/** One collection of the young generation (see the flags below) for so many bytes at least. */
const COLLECTION_BYTES = 2 ** 20

/** Less than this for 50,000 round trips is no garbage of theirs. */
const WARM_BYTES = 50_000

/** `look` runs in both handlers, where `from` is the peer or the client. */
const script = (waitStrategy, send, look = '') => `
  import { getHeapStatistics } from 'node:v8'
  import { ZerioClient, ZerioServer } from 'zerio'
  const options = { waitStrategy: '${waitStrategy}' }
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  const looks = new Float64Array(2)
  const look = (from) => { ${look} }
  server.onMessage = (peer, buffer, offset, length) => {
    look(peer)
    peer.send(buffer, offset, length)
  }
  await server.start('server')
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
  await client.start('client')
  const bytes = Buffer.alloc(100)
  let left = 0
  let done
  const send = () => { ${send} }
  client.onMessage = () => {
    look(client)
    if (--left > 0) send()
    else done()
  }
  const manual = options.waitStrategy === 'manual'
  // A window of several messages, so that strategies that sleep, and systems that are slow, take no longer than the others.
  const window = manual && process.platform !== 'win32' ? 1 : 16
  const run = async (roundTrips) => {
    left = roundTrips
    const ended = new Promise((resolve) => { done = resolve })
    for (let i = 0; i < window; i++) send()
    if (manual) while (left > 0) client.poll()
    await ended
  }
  // Until V8 has compiled what runs here, which it does beside this thread, on a busy system late. Where garbage is made for ever this ends, too.
  for (let i = 0; i < 8; i++) {
    const before = getHeapStatistics().used_heap_size
    await run(50000)
    if (Math.abs(getHeapStatistics().used_heap_size - before) < ${WARM_BYTES}) break
  }
  for (let i = 0; i < 20; i++) { await new Promise(setImmediate); if (manual) client.poll() }
  globalThis.gc()
  globalThis.gc()
  const loops = () => performance.nodeTiming.uvMetricsInfo.loopCount
  const before = loops()
  await run(${ROUND_TRIPS})
  globalThis.gc()
  const turned = loops() - before
  console.log(JSON.stringify({ sent: client.counters.messagesSent, received: client.counters.messagesReceived, turned }))
  process.exit(0)
`

/**
 * What V8 collected between the last two collections that the script asked for. Only V8's own lines are in order: Windows keeps them
 * back until the process ends.
 */
function collectionsBetween(t, stdout) {
  const lines = stdout.split(/\r?\n/).filter((line) => /^\[\d+:/.test(line))
  const asked = lines.flatMap((line, index) => (line.includes(' testing;') ? [index] : []))
  t.is(asked.length, 3, stdout)
  return lines.slice(asked[1] + 1, asked[2])
}

const part = 'client.send(bytes, 10, 36)'
const whole = 'client.send(bytes)'
const claim = 'const at = client.claim(32); client.view.setInt32(at, left, true); client.commit()'

const look = 'looks[0] = from.messageNumber; looks[1] = from.receivedAt'

for (const [waitStrategy, how, send, looking] of [
  ['manual', 'part', part],
  ['manual', 'whole', whole],
  ['manual', 'claim', claim],
  ['manual', 'number and time', whole, look],
  ['blocking', 'part', part],
  ['spin', 'claim', claim],
  ['hybrid', 'whole', whole],
  ['adaptive', 'whole', whole]
]) {
  test.serial(`${ROUND_TRIPS} round trips without a collection: ${waitStrategy}, ${how}`, async (t) => {
    t.timeout(LIMIT_MS)
    const result = await runScript(script(waitStrategy, send, looking), {
      timeoutMs: LIMIT_MS,
      // A young generation of 1 MiB: 7 bytes of garbage in each round trip would show.
      flags: ['--trace-gc', '--expose-gc', '--max-semi-space-size=1']
    })
    t.is(result.stderr, '')
    t.is(result.code, 0, result.stdout)
    const { sent, received, turned } = JSON.parse(result.stdout.match(/^\{"sent".*$/m)[0])
    const collections = collectionsBetween(t, result.stdout)
    const allowed = waitStrategy === 'manual' ? 0 : Math.ceil((turned * LOOP_BYTES) / COLLECTION_BYTES)
    t.true(
      collections.length <= allowed,
      `${collections.length} of ${allowed}, ${turned} iterations\n${collections.join('\n')}`
    )
    t.true(sent >= ROUND_TRIPS && received >= ROUND_TRIPS)
  })
}

test.serial('the test notices one small object for each message', async (t) => {
  t.timeout(LIMIT_MS)
  const result = await runScript(script('manual', 'globalThis.kept = { left }; client.send(bytes, 0, 36)'), {
    timeoutMs: LIMIT_MS,
    flags: ['--trace-gc', '--expose-gc', '--max-semi-space-size=1']
  })
  t.is(result.code, 0)
  t.regex(collectionsBetween(t, result.stdout).join('\n'), /Scavenge/)
})
