// The subscribers of the section slow-consumers find what a server does wrong: a gap, an update that comes twice, a value that is not the newest.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import test from 'ava'
import { compileNativePrograms, nativePrograms } from '../../perf/lib/native_programs.mjs'
import { KEYS, keyOf, UPDATE_BYTES, writeUpdate } from '../../perf/lib/update_schedule.mjs'

const HEADER_BYTES = 4
const FRAME_BYTES = HEADER_BYTES + UPDATE_BYTES
/** All keys change between the first updates and the last one. */
const LAST = 5_000

test.before(compileNativePrograms)

const from = (first, end) => Array.from({ length: end - first }, (_, i) => first + i)

/** The newest update of each key, in the order of the keys, when `last` is the newest of all. */
function newestOf(last) {
  const newest = Array.from({ length: KEYS }, () => 0)
  for (let sequence = 1; sequence <= last; sequence++) newest[keyOf(sequence)] = sequence
  return newest
}

function framesOf(sequences) {
  const bytes = Buffer.alloc(sequences.length * FRAME_BYTES)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  sequences.forEach((sequence, i) => {
    view.setUint32(i * FRAME_BYTES, UPDATE_BYTES, true)
    writeUpdate(view, i * FRAME_BYTES + HEADER_BYTES, sequence, 0)
  })
  return bytes
}

/** Sends all updates up to `LAST` to one peer that reads, and `sequences` to a slow one. Resolves with how the subscribers end. */
async function subscribe(t, { reading = from(1, LAST + 1), slow }) {
  const lists = [reading, slow]
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (hello) => {
      socket.write(hello)
      // The id of a peer ends with its number.
      socket.write(framesOf(lists[Number(hello.subarray(-1))]))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const args = [server.address().port, 1, 1, 'frames', UPDATE_BYTES].map(String)
  const child = spawn(nativePrograms.subscribers, args)
  t.teardown(() => child.kill())
  child.stdin.on('error', () => {})
  child.stdin.end(`read\nfinish ${LAST} 1\n`)
  const [out, error, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close')
  ])
  const result = { code, error }
  return code === 0 ? { ...result, ...JSON.parse(out.trim().split('\n').at(-1)) } : result
}

test('a slow peer gets updates without a hole, or the newest value of each key once', async (t) => {
  const all = await subscribe(t, { slow: from(1, LAST + 1) })
  t.like(all, { code: 0, updates: LAST, jumped: 0 }, all.error)
  const atTheEnd = await subscribe(t, { slow: [...from(1, 100), ...newestOf(LAST)] })
  t.like(atTheEnd, { code: 0, jumped: 1 }, atTheEnd.error)
  const between = [...from(1, 100), ...newestOf(2_000), ...from(2_001, LAST + 1)]
  t.like(await subscribe(t, { slow: between }), { code: 0, jumped: 1, again: 0 })
  // In two steps, between which all keys got new values.
  const inSteps = [...from(1, 100), ...newestOf(2_000).slice(0, 100), ...newestOf(LAST)]
  t.like(await subscribe(t, { slow: inSteps }), { code: 0, jumped: 1, again: 100 })
})

const newest = newestOf(LAST)
const wrong = {
  'a peer that reads misses an update': {
    reading: [...from(1, 50), ...from(51, LAST + 1)],
    slow: [],
    says: /^a peer that reads missed an update/
  },
  'a peer that reads gets an update twice': {
    reading: [...from(1, 51), ...from(50, LAST + 1)],
    slow: [],
    says: /^a peer that reads missed an update, or got one twice/
  },
  'a value is not the newest': {
    slow: [...from(1, 100), ...newest.with(7, newestOf(LAST - 1_000)[7])],
    says: /^a peer never got all newest values/
  },
  'a key is missing': {
    slow: [...from(1, 100), ...newest.toSpliced(255, 1)],
    says: /^a peer never got all newest values/
  },
  'a key comes twice': {
    slow: [...from(1, 100), ...newest.slice(0, 10), newest[9]],
    says: /^a slow peer got a value twice/
  },
  'the newest values come again': {
    slow: [...from(1, 100), ...newest, ...newest],
    says: /^a slow peer got an old update/
  }
}

for (const [what, { reading, slow, says }] of Object.entries(wrong)) {
  test(`the subscribers notice that ${what}`, async (t) => {
    const { code, error } = await subscribe(t, { reading, slow })
    t.is(code, 1)
    t.regex(error, says)
  })
}
