// The send ring without sockets: JavaScript's real producer and the engine's real consumer, driven by random programs.

import { createRequire } from 'node:module'
import test from 'ava'
import fc from 'fast-check'
import { native } from '../helpers/wire_native.mjs'

const { SendRing } = createRequire(import.meta.url)('../../dist/engine/send_ring.js')
const SENT = 0
const BACK_PRESSURED = -1
const FRONT_OFFSET = 128
const FRONT_BYTES = 512
const SLOT_BYTES = FRONT_OFFSET + FRONT_BYTES
const WORD = { tail: 0, jumpEnd: 1, drainNeed: 2, head: 3 }

/** Memory of three slots whose middle one has the ring; `neighbours` is all memory of the other two. */
function makeSlab(capacity) {
  const slots = 3
  const ringsOffset = slots * SLOT_BYTES
  const memory = new ArrayBuffer(ringsOffset + slots * capacity)
  const buffer = Buffer.from(memory)
  const begin = ringsOffset + capacity
  const neighbours = [
    buffer.subarray(0, SLOT_BYTES),
    buffer.subarray(2 * SLOT_BYTES, begin),
    buffer.subarray(begin + capacity)
  ]
  for (const bytes of neighbours) bytes.fill(0xee)
  const slab = {
    index: 0,
    first: 0,
    count: slots,
    buffer,
    view: new DataView(memory),
    bytes: new Uint8Array(memory),
    words: new Int32Array(memory),
    slotsOffset: 0,
    ringsOffset
  }
  return { memory, buffer, begin, neighbours, slab }
}

/** What a ring needs of its engine: a flush of it alone is a send of which the socket takes `socketTakes` bytes. */
function makeEngine(buffer, capacity, lengthMax, consume) {
  return {
    options: { sendRingBytes: capacity, maxMessageLength: lengthMax },
    socketTakes: 0,
    dirty: false,
    markDirty() {
      this.dirty = true
    },
    flushOne() {
      consume(this.socketTakes)
    },
    native: {
      copy(_slab, at, source, offset, length) {
        buffer.set(source.subarray(offset, offset + length), at)
      }
    }
  }
}

/** A ring with a main part of `capacity` bytes between two others, its producer and its consumer. */
function makeRing(capacity, lengthMax) {
  const { memory, buffer, begin, neighbours, slab } = makeSlab(capacity)
  const front = SLOT_BYTES + FRONT_OFFSET
  const consumer = new native.Ring(buffer, begin, capacity, SLOT_BYTES)
  const sent = []
  /** Does what the engine does in a flush: offers the socket what is pending, of which it takes `most` bytes. */
  function consume(most) {
    const end = consumer.tail()
    const { corrupt, slices } = consumer.pending(end)
    if (corrupt) throw new Error('the consumer says that the words make no sense')
    let taken = 0
    for (let i = 0; i < slices.length && taken < most; i += 2) {
      const size = Math.min(slices[i + 1], most - taken)
      sent.push(Buffer.from(buffer.subarray(slices[i], slices[i] + size)))
      taken += size
    }
    if (taken > 0) consumer.advance(taken, end)
  }
  const engine = makeEngine(buffer, capacity, lengthMax, consume)
  const producer = new SendRing(engine, 1, slab)
  producer.open(false, lengthMax)
  return {
    buffer,
    engine,
    producer,
    consumer,
    consume,
    words: new Int32Array(memory, SLOT_BYTES, 4),
    wire: () => Buffer.concat(sent),
    flush(most) {
      engine.socketTakes = most
      producer.publishForFlush()
      consume(most)
      engine.dirty = false
    },
    neighboursIntact: () => neighbours.every((bytes) => bytes.every((byte) => byte === 0xee)),
    owns: (from, size) =>
      (from >= front && from + size <= front + FRONT_BYTES) ||
      (from >= begin && from + size <= begin + capacity)
  }
}

/** A frame with content that depends on `index`. */
function frame(index, length, channel) {
  const bytes = Buffer.alloc(4 + length, (index * 37 + 11) & 255)
  bytes.writeUInt32LE(channel * 2 ** 24 + length)
  return bytes
}

const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('send', 'part', 'claim'),
      length: fc.nat(120),
      channel: fc.nat(127)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('send', 'part', 'claim'),
      length: fc.nat(6),
      channel: fc.constant(0)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('abort'), length: fc.nat(120), channel: fc.nat(127) })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush'), most: fc.nat(300) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('socket'), most: fc.nat(300) }) },
  // The socket takes more by itself, of what was published before.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('writable'), most: fc.nat(300) }) }
)

test('random sends, claims, aborts and partial sends deliver every frame once, in order, whole', (t) => {
  let refused = 0
  let wrapped = 0
  let jumped = 0
  fc.assert(
    fc.property(
      fc.array(operation, { minLength: 1, maxLength: 120, size: 'max' }),
      fc.integer({ min: 31, max: 60 }).map((eighths) => eighths * 8),
      (program, capacity) => {
        const ring = makeRing(capacity, 120)
        const expected = []
        for (const [index, step] of program.entries()) {
          if (step.kind === 'flush') ring.flush(step.most)
          else if (step.kind === 'socket') ring.engine.socketTakes = step.most
          else if (step.kind === 'writable') ring.consume(step.most)
          else {
            const bytes = frame(index, step.length, step.channel)
            let status
            if (step.kind === 'send') status = ring.producer.sendAll(bytes.subarray(4), step.channel)
            else if (step.kind === 'part')
              status = ring.producer.sendPart(bytes, 4, step.length, step.channel)
            else {
              status = ring.producer.claim(step.length, step.channel)
              if (status >= 0) {
                bytes.copy(ring.buffer, status, 4)
                if (step.kind === 'abort') ring.producer.abort()
                else status = ring.producer.commit()
              }
            }
            if (status === SENT && step.kind !== 'abort') expected.push(bytes)
            else if (status < 0) {
              if (status !== BACK_PRESSURED) return false
              refused++
              if (ring.words[WORD.drainNeed] < 4 + step.length) return false
            }
            if (status === SENT && !ring.engine.dirty) return false
          }
          if (ring.words[WORD.tail] < ring.words[WORD.head]) wrapped++
          const limit = FRONT_BYTES + capacity
          if (ring.words[WORD.tail] > limit || ring.words[WORD.head] > limit) return false
          if (ring.words[WORD.head] < FRONT_BYTES && ring.words[WORD.tail] >= FRONT_BYTES) jumped++
        }
        for (let i = 0; i < 4; i++) ring.flush(2 ** 20)
        return (
          ring.consumer.empty() &&
          ring.wire().equals(Buffer.concat(expected)) &&
          ring.neighboursIntact() &&
          ring.producer.counters.messagesSent === expected.length
        )
      }
    ),
    { numRuns: 1500 }
  )
  t.true(refused > 100, 'the programs must fill rings')
  t.true(wrapped > 100, 'the programs must wrap rings')
  t.true(jumped > 100, 'the programs must go on behind the front')
})

test('a refused message fits when the engine reports room, and not before the ring is half empty', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(120), fc.nat(200)), { minLength: 20, maxLength: 80 }), (steps) => {
      const ring = makeRing(256, 120)
      for (const [length, most] of steps) {
        ring.engine.socketTakes = 0
        if (ring.producer.sendAll(Buffer.alloc(length), 0) === BACK_PRESSURED) {
          t.is(ring.words[WORD.drainNeed], 4 + length)
          while (!ring.consumer.drained()) {
            t.false(ring.consumer.empty(), 'an empty ring has room for every message')
            ring.consume(1 + most)
          }
          ring.producer.drained()
          t.is(ring.words[WORD.drainNeed], 0)
          t.false(ring.consumer.drained())
          t.is(ring.producer.sendAll(Buffer.alloc(length), 0), SENT)
        }
        ring.producer.publishForFlush()
      }
    }),
    { numRuns: 300 }
  )
})

test("the engine stays inside of the ring whatever JavaScript's words are", (t) => {
  const capacity = 256
  const limit = FRONT_BYTES + capacity
  const word = fc.oneof(
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    fc.integer({ min: -2, max: limit + 2 }),
    fc.constantFrom(0, 1, FRONT_BYTES - 1, FRONT_BYTES, FRONT_BYTES + 1),
    fc.constantFrom(limit - 1, limit, limit + 1, -1, 2 ** 31 - 1, -(2 ** 31))
  )
  let corrupt = 0
  let slicesSeen = 0
  fc.assert(
    fc.property(
      fc.array(fc.tuple(word, word, word, word, fc.nat(600)), { minLength: 1, maxLength: 40 }),
      (steps) => {
        const { consumer, words, owns } = makeRing(capacity, 120)
        for (const [tail, jumpEnd, need, head, most] of steps) {
          words[WORD.tail] = tail
          words[WORD.jumpEnd] = jumpEnd
          words[WORD.drainNeed] = need
          words[WORD.head] = head
          const end = consumer.tail()
          const found = consumer.pending(end)
          consumer.drained()
          if (found.corrupt) {
            corrupt++
            if (found.slices.length > 0) return false
            // What the engine does then; the words can be anything afterwards, too.
            if (most % 2 === 0) consumer.discard()
            else consumer.reset()
            continue
          }
          let total = 0
          for (let i = 0; i < found.slices.length; i += 2) {
            slicesSeen++
            const [from, size] = [found.slices[i], found.slices[i + 1]]
            if (size <= 0 || !owns(from, size)) return false
            total += size
          }
          // The words may change between the two calls.
          words[WORD.jumpEnd] = need
          consumer.advance(Math.min(most, total), end)
          if (consumer.head() > limit) return false
        }
        return true
      }
    ),
    { numRuns: 3000 }
  )
  t.true(corrupt > 100 && slicesSeen > 100)
})

test('short bursts stay in the front, long ones in the main part, each in one piece', (t) => {
  const ring = makeRing(1024, 120)
  const slicesOf = (count) => {
    for (let i = 0; i < count; i++) t.is(ring.producer.sendAll(Buffer.alloc(32), 0), SENT)
    ring.producer.publishForFlush()
    const { slices } = ring.consumer.pending(ring.consumer.tail())
    ring.consume(2 ** 20)
    return slices
  }
  const [front] = slicesOf(1)
  for (let i = 0; i < 3; i++) t.deepEqual(slicesOf(14), [front, 14 * 36])
  const [sameFront, sizeInFront, main, sizeInMain] = slicesOf(15)
  t.deepEqual([sameFront, sizeInFront, sizeInMain], [front, 14 * 36, 36])
  for (let i = 0; i < 3; i++) t.deepEqual(slicesOf(15), [main, 15 * 36])
  // The last long one is the reason for this one, too.
  t.deepEqual(slicesOf(1), [main, 36])
  t.deepEqual(slicesOf(1), [front, 36])
})
