// An audience alone, with rings and an engine that only note what is asked of them: who is in it, and whose memory is in use.
import { createRequire } from 'node:module'
import test from 'ava'

const require = createRequire(import.meta.url)
const { ALL, Audience } = require('../../dist/engine/audience.js')
const { SharedFrames } = require('../../dist/engine/shared_frames.js')
const { ShareWord } = require('../../dist/engine/layout.js')

class Ring {
  isIdle = true
  written = []
  #audience

  constructor(slot, { lengthMax = 1000, classic = false } = {}) {
    Object.assign(this, { slot, lengthMax, classic })
  }
  get isIn() {
    return this.#audience !== undefined
  }
  join(audience, place) {
    this.#audience = audience
    this.place = place
  }
  leaveAudience() {
    const audience = this.#audience
    this.#audience = undefined
    audience?.leave(this, this.place)
  }
  writeFrames(_bytes, from, to, messages) {
    this.written.push([from, to, messages])
  }
}

/** An engine whose system takes everything, but of the slots in `refusing` only so many bytes. */
function makeEngine() {
  const engine = {
    sharedBytesMax: 100,
    used: 0,
    listed: [],
    refusing: new Map(),
    shares: 0,
    takeFrames: () => (engine.used++ < 1 ? new SharedFrames(100, engine.native) : undefined),
    giveFramesBack: () => engine.used--,
    addShared: (audience) => engine.listed.push(audience),
    native: {
      copyBytes: () => {},
      share(_bytes, slots, sent, refused, words) {
        engine.shares++
        words[ShareWord.Refused] = 0
        for (let place = 0; place < words[ShareWord.Count]; place++) {
          const most = engine.refusing.get(slots[place])
          if (most === undefined) {
            if (sent[place] < words[ShareWord.Bytes]) words[ShareWord.Unsent]--
            sent[place] = words[ShareWord.Bytes]
          } else {
            sent[place] = Math.max(sent[place], most)
            refused[words[ShareWord.Refused]++] = place
          }
        }
      }
    }
  }
  return engine
}

function makeAudience(rings, engine = makeEngine(), bytesMax = 0) {
  const left = []
  const audience = new Audience(engine, bytesMax, (token) => left.push(token))
  audience.reserve(rings.length)
  const publish = (length, channel = 0) => {
    if (!audience.canTake(length, channel)) return -1
    for (const ring of audience.isPending ? [] : rings) if (!ring.isIn) audience.join(ring, ring.slot)
    return audience.publish(new Uint8Array(length), 0, length, channel)
  }
  return { audience, engine, left, publish }
}

const ringsOf = (count) => Array.from({ length: count }, (_, slot) => new Ring(slot))

test('all rings stay while everything is sent, and the memory is given back each time', (t) => {
  const rings = ringsOf(5)
  const { audience, engine, left, publish } = makeAudience(rings)
  for (let round = 0; round < 3; round++) {
    t.is(publish(10), 5)
    t.is(engine.used, 1)
    t.true(audience.isPending)
    t.is(audience.unsentOf(4), 14)
    t.false(audience.share(ALL))
    t.is(engine.used, 0)
    t.is(audience.unsentOf(4), 0)
  }
  t.deepEqual(left, [])
})

test('a ring that leaves gets what it lacks, and the last one takes its place', (t) => {
  const rings = ringsOf(4)
  const { audience, left, publish } = makeAudience(rings)
  publish(10)
  publish(20)
  rings[1].leaveAudience()
  t.deepEqual(rings[1].written, [[0, 38, 2]])
  t.deepEqual(left, [1])
  t.is(audience.count, 3)
  t.is(rings[3].place, 1)
  t.false(audience.share(ALL))
  rings[3].leaveAudience()
  t.deepEqual(rings[3].written, [])
})

test('whoever the system refuses leaves with the rest: a part of a frame, and whole ones', (t) => {
  const rings = ringsOf(4)
  const { audience, engine, publish } = makeAudience(rings)
  publish(10)
  publish(20)
  engine.refusing.set(0, 17).set(2, 14)
  t.false(audience.share(ALL))
  t.deepEqual(rings[0].written, [[17, 38, 1]])
  t.deepEqual(rings[2].written, [[14, 38, 1]])
  t.is(audience.count, 2)
  t.is(engine.used, 0)
})

test('a message that finds no room is sent behind the others, and a longer one than fits is not taken', (t) => {
  const rings = ringsOf(4)
  const { audience, engine, publish } = makeAudience(rings)
  t.is(publish(60), 4)
  t.is(publish(60), 4)
  t.is(engine.shares, 1)
  t.is(audience.unsentOf(0), 64)
  t.is(publish(97), -1)
  t.is(publish(96), 4)
  const limited = makeAudience(ringsOf(4), makeEngine(), 50)
  t.is(limited.publish(46), 4)
  t.is(limited.publish(47), -1)
})

test('whoever does not take all messages leaves for good, and the others stay', (t) => {
  const rings = [...ringsOf(4), new Ring(4, { lengthMax: 20 }), new Ring(5, { classic: true })]
  const { audience, left, publish } = makeAudience(rings)
  t.is(publish(20), 6)
  audience.share(ALL)
  t.is(publish(21), 5)
  t.deepEqual(left, [4])
  audience.share(ALL)
  t.is(publish(10, 3), 4)
  t.deepEqual(left, [4, 5])
  audience.share(ALL)
  t.is(publish(5), 4)
  t.deepEqual(left, [4, 5])
})

test('when most have to leave for other messages, the next ones use the rings', (t) => {
  const rings = ringsOf(4)
  const { audience, publish } = makeAudience(rings)
  publish(10)
  for (const ring of rings.slice(0, 3)) ring.leaveAudience()
  audience.share(ALL)
  for (let i = 0; i < 64; i++) t.is(publish(10), -1)
  t.is(publish(10), 4)
})

test('without memory for a copy, or with members to whom other things are sent, nothing is shared and nothing is held', (t) => {
  const engine = makeEngine()
  engine.used = 1
  t.is(makeAudience(ringsOf(4), engine).publish(10), -1)
  const rings = ringsOf(4)
  for (const ring of rings) ring.isIdle = false
  const busy = makeAudience(rings)
  t.is(busy.publish(10), 0)
  t.is(busy.engine.used, 0)
})
