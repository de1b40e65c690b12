// Topics with `behindMs`: which members are late. Most of it without a clock: a look is a call, and the engine's half of a ring is played.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { SendStatus, ZerioClient } from 'zerio'
import { BrokenPath } from '../helpers/broken_path.mjs'
import { randomFrom, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const require = createRequire(import.meta.url)
const { SendRing } = require('../../dist/engine/send_ring.js')
const { Lateness } = require('../../dist/topics/lateness.js')

/** Looks within a limit. */
const LOOKS = 4
const MAIN = 512
const SLOT_BYTES = 128 + MAIN
const WORDS = { tail: 0, jumpEnd: 1, head: 3, rewinds: 4, rewindsSeen: 5, rewindTo: 7 }

/** A real ring with a main part of `capacity` bytes, and what the engine does with its words. */
class Line {
  appended = 0
  taken = 0
  wraps = 0
  #slot = 0
  #words

  constructor(capacity) {
    const slots = 2
    const memory = new ArrayBuffer(slots * (SLOT_BYTES + capacity))
    this.#words = new Int32Array(memory)
    this.capacity = capacity
    this.slab = {
      index: 0,
      first: 0,
      count: slots,
      buffer: Buffer.from(memory),
      view: new DataView(memory),
      bytes: new Uint8Array(memory),
      words: this.#words,
      slotsOffset: 0,
      ringsOffset: slots * SLOT_BYTES
    }
    this.ring = this.#makeRing()
  }

  #makeRing() {
    const options = { sendRingBytes: this.capacity, maxMessageLength: this.capacity - 8 }
    const engine = { options, markDirty() {}, flushOne() {}, native: {} }
    const ring = new SendRing(engine, this.#slot, this.slab)
    ring.open(false, this.capacity, false)
    return ring
  }

  /** Sends a frame of so many bytes, header included. Returns whether there was room. */
  append(bytes) {
    if (this.ring.sendAll(Buffer.alloc(bytes - 4), 0) !== SendStatus.Sent) return false
    this.appended += bytes
    return true
  }

  /** Makes room for a frame, which then does not come. */
  abort(bytes) {
    if (this.ring.claim(bytes - 4, 0) >= 0) this.ring.abort()
  }

  /** The system takes so many bytes, or the other side acknowledges them, which leaves the head in front of a jump. */
  take(bytes, acknowledges = false) {
    this.ring.publishForFlush()
    this.ring.drained()
    const words = this.#words.subarray((this.#slot * SLOT_BYTES) / 4)
    if (words[WORDS.rewinds] !== words[WORDS.rewindsSeen]) {
      words[WORDS.head] = words[WORDS.rewindTo]
      words[WORDS.rewindsSeen] = words[WORDS.rewinds]
    }
    const head = words[WORDS.head]
    const end = words[WORDS.tail]
    if (end < head) this.wraps++
    const jumps = end < head || (head < MAIN && end >= MAIN)
    const first = jumps ? words[WORDS.jumpEnd] - head : end - head
    const all = jumps ? first + end - MAIN : first
    const some = Math.min(bytes, all)
    const stays = !jumps || some < first || (acknowledges && some === first)
    words[WORDS.head] = stays ? head + some : MAIN + some - first
    this.taken += some
  }

  /** A session gets a new connection, in the other slot. */
  resume() {
    const old = this.ring
    this.#slot = 1 - this.#slot
    this.ring = this.#makeRing()
    const { bytes, ringsOffset } = this.slab
    this.ring.takeOver(old, (slot, oldSlot) => {
      // All but the counters, which begin again at 0.
      const [to, from] = [slot * SLOT_BYTES, oldSlot * SLOT_BYTES]
      bytes.copyWithin(to, from, from + 64)
      bytes.copyWithin(to + 128, from + 128, from + SLOT_BYTES)
      const begin = ringsOffset + oldSlot * this.capacity
      bytes.copyWithin(ringsOffset + slot * this.capacity, begin, begin + this.capacity)
      return true
    })
  }
}

/** A judge without a timer. `look(lines)` says of each member whether it is late; members are in the order of their positions. */
function startJudge(t, members) {
  const lateness = new Lateness(3_600_000, () => {})
  t.teardown(() => lateness.end())
  for (let i = 0; i < members; i++) lateness.joined(i)
  return {
    lateness,
    look(...lines) {
      lateness.begin()
      return lines.map(({ ring }, position) => lateness.isLate(position, ring))
    }
  }
}

test('who takes nothing is late a limit after the look that saw the bytes first', (t) => {
  const { look } = startJudge(t, 1)
  const line = new Line(1024)
  for (let i = 0; i < 3 * LOOKS; i++) t.deepEqual(look(line), [false], 'nothing waits')
  line.append(100)
  for (let i = 0; i < LOOKS; i++) t.deepEqual(look(line), [false], `look ${i}`)
  for (let i = 0; i < LOOKS; i++) t.deepEqual(look(line), [true])
  line.take(99)
  t.deepEqual(look(line), [true])
  line.take(1)
  t.deepEqual(look(line), [false])
})

test('bytes that came just behind those of a look are late one look later, not a limit later', (t) => {
  const { look } = startJudge(t, 1)
  const line = new Line(1024)
  line.append(100)
  t.deepEqual(look(line), [false])
  line.append(100)
  t.deepEqual([look(line), look(line)], [[false], [false]])
  // All that the first look has seen, and nothing of the rest.
  line.take(100)
  t.deepEqual([look(line), look(line)], [[false], [false]])
  t.deepEqual(look(line), [true])
})

test('the engine sends no bytes from the unused end of a ring, and lateness does not count them', (t) => {
  const { look } = startJudge(t, 1)
  const line = new Line(1024)
  line.append(600)
  line.append(300)
  line.take(600)
  // Begins again at the beginning of the main part: 124 bytes are left unused.
  t.true(line.append(400))
  t.deepEqual(look(line), [false])
  for (let i = 1; i < LOOKS; i++) t.deepEqual(look(line), [false])
  line.take(700)
  t.is(line.wraps, 1)
  t.is(line.ring.pendingBytes, 0)
  line.append(200)
  for (let i = 0; i < LOOKS; i++) t.deepEqual(look(line), [false], `look ${i}`)
  t.deepEqual(look(line), [true])
})

test('a look judges only what was there a limit ago, whatever the ring has been through', (t) => {
  const seen = { late: 0, punctual: 0, waiting: 0, wraps: 0, resumed: 0 }
  for (let seed = 1; seed <= 60; seed++) {
    const random = randomFrom(seed)
    const { look } = startJudge(t, 1)
    const line = new Line(1024 + random(5) * 200)
    const totals = []
    // Long and short frames, quick and slow readers.
    const bytesMax = 10 + random(500)
    const takesMax = 1 + random(3 * bytesMax)
    for (let step = 0; step < 800; step++) {
      const what = random(20)
      if (what < 8) line.append(4 + random(bytesMax))
      else if (what < 9) line.abort(4 + random(bytesMax))
      else if (what < 14) line.take(random(takesMax), random(2) === 0)
      else if (what < 15) line.take(2 ** 30)
      else if (what < 16 && random(4) === 0) {
        line.resume()
        seen.resumed++
      } else {
        const [late] = look(line)
        const isLate = totals.length >= LOOKS && line.taken < totals[totals.length - LOOKS]
        if (late !== isLate) {
          t.fail(`seed ${seed}, step ${step}: ${late}`)
          return
        }
        totals.push(line.appended)
        if (late) seen.late++
        else if (line.taken < line.appended) seen.waiting++
        else seen.punctual++
      }
    }
    seen.wraps += line.wraps
  }
  for (const [what, count] of Object.entries(seen)) t.true(count > 200, `${what}: ${count}`)
})

test('a session that goes on with a new connection is judged by what it had before', (t) => {
  const { look } = startJudge(t, 2)
  const [quick, slow] = [new Line(1024), new Line(1024)]
  for (const line of [quick, slow])
    for (let i = 0; i < 50; i++) {
      line.append(400)
      line.take(400)
    }
  quick.append(300)
  slow.append(300)
  t.deepEqual(look(quick, slow), [false, false])
  quick.resume()
  slow.resume()
  t.deepEqual(look(quick, slow), [false, false])
  quick.take(300)
  quick.append(200)
  t.deepEqual(look(quick, slow), [false, false])
  t.deepEqual(look(quick, slow), [false, false])
  t.deepEqual(look(quick, slow), [false, true])
})

test('a member that gets the position of another one keeps its own time', (t) => {
  const { lateness, look } = startJudge(t, 9)
  const lines = Array.from({ length: 9 }, () => new Line(1024))
  lines[8].append(100)
  t.false(look(...lines).includes(true))
  lines[0].append(100)
  for (let i = 1; i < LOOKS; i++) t.false(look(...lines).includes(true))
  // The last one, whose bytes wait longest, takes the first place; a new one comes behind it.
  lines[0] = lines.pop()
  lateness.departed(0, 8)
  lateness.joined(8)
  lines.push(new Line(1024))
  lines[8].append(100)
  const [first, ...others] = look(...lines)
  t.true(first)
  t.false(others.includes(true))
  for (let i = 1; i < LOOKS; i++) t.false(look(...lines)[8])
  t.true(look(...lines)[8])
})

test('the timer runs while there are members', async (t) => {
  let looks = 0
  const lateness = new Lateness(20, () => looks++)
  await sleep(30)
  t.is(looks, 0)
  lateness.joined(0)
  await until(() => looks >= LOOKS)
  lateness.departed(0, 0)
  const before = looks
  await sleep(30)
  t.is(looks, before)
  lateness.joined(0)
  await until(() => looks > before)
  lateness.end()
})

/** A member with a session, over a path that can break. */
async function startMember(t) {
  const server = await startServer(t, { sessions: true, lingerMs: 200 })
  const path = await BrokenPath.start(t, server.listeningPort)
  const options = { session: true, reconnect: { delayMs: 1, delayMsMax: 20 } }
  const client = new ZerioClient({ host: '127.0.0.1', port: path.port }, options)
  t.teardown(() => client.terminate())
  await client.start('client')
  const peer = await until(() => server.peer('client'))
  const topic = server.topic('fx', { slow: 'close', behindMs: 200 })
  topic.add(peer)
  return { server, path, client, peer, topic }
}

test('in a session bytes wait until the other side has acknowledged them', async (t) => {
  const { server, client, peer, topic } = await startMember(t)
  for (let i = 0; i < 10; i++) {
    topic.publish(Buffer.alloc(100))
    await until(() => peer.pendingBytes === 0)
  }
  t.is(topic.counters.closed, 0)
  // The system takes them, and the other side does not read them.
  const left = once(server, 'clientDisconnected')
  client.pause()
  while (topic.counters.closed === 0) {
    topic.publish(Buffer.alloc(100))
    await sleep(20)
  }
  const [, reason] = await left
  t.is(reason.code, 'ZERIO_SLOW_CONSUMER')
})

test('in a session bytes wait also while there is no connection', async (t) => {
  const { server, path, peer, topic } = await startMember(t)
  const left = once(server, 'clientDisconnected')
  path.open = false
  path.break()
  await until(() => peer.state === 'suspended')
  // Nothing waits, however long the break is.
  await sleep(500)
  t.is(topic.counters.closed, 0)
  t.is(topic.publish(Buffer.alloc(100)), 1)
  const [, reason] = await left
  t.is(reason.code, 'ZERIO_SLOW_CONSUMER')
  t.is(topic.counters.closed, 1)
})
