// FrameReader without sockets: any split of any frames gives the same messages, and no bytes make it crash or exceed a limit.

import test from 'ava'
import fc from 'fast-check'
import { native } from '../helpers/wire_native.mjs'

const CONTROL_LENGTH_MAX = 1024
const RUNS = { numRuns: 400 }

/** What docs/protocol.md says, written a second time: reads `bytes` in one go. */
function referenceRead(bytes, lengthMax, classic) {
  const frames = []
  let at = 0
  while (bytes.length - at >= 4) {
    const header = bytes.readUInt32LE(at)
    const control = header >>> 31 === 1
    const length = header % 2 ** 24
    const announced = control || !classic ? length : header % 2 ** 31
    if (announced > (control ? CONTROL_LENGTH_MAX : lengthMax))
      return { frames, result: 'too long', midFrame: false }
    if (bytes.length - at - 4 < length) break
    frames.push({ header, payload: bytes.subarray(at + 4, at + 4 + length) })
    at += 4 + length
  }
  return { frames, result: 'ok', midFrame: at < bytes.length }
}

function encode(frames) {
  return Buffer.concat(
    frames.map(({ control, channel, payload }) => {
      const header = Buffer.alloc(4)
      header.writeUInt32LE(((control ? 0x80000000 : 0) + channel * 2 ** 24 + payload.length) >>> 0)
      return Buffer.concat([header, payload])
    })
  )
}

/** Cuts `bytes` at `cuts`, any numbers. */
function split(bytes, cuts) {
  const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length))
}

/** Feeds the pieces until one is refused. Throws when the reader reports memory that is not the frame's. */
function readAll(pieces, { lengthMax, runs, classic }) {
  const reader = new native.Reader(lengthMax, runs, classic)
  const frames = []
  for (const piece of pieces) {
    const answer = reader.feed(piece)
    if (answer.stray)
      throw new Error('the reader reported memory outside of the input or mixed up its buffers')
    frames.push(...answer.frames)
    if (answer.result !== 'ok') return { frames, result: answer.result, midFrame: false }
  }
  return { frames, result: 'ok', midFrame: reader.midFrame() }
}

const plain = ({ frames, ...rest }) => ({
  ...rest,
  frames: frames.map(({ header, payload }) => `${header.toString(16)}:${payload.toString('hex')}`)
})

const payload = (max) => fc.uint8Array({ maxLength: max }).map((bytes) => Buffer.from(bytes))
const frame = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ control: fc.constant(false), channel: fc.nat(127), payload: payload(40) })
  },
  {
    weight: 1,
    arbitrary: fc.record({ control: fc.constant(true), channel: fc.nat(127), payload: payload(40) })
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ channel: fc.nat(127), length: fc.nat(9000), control: fc.constant(false) })
      .map(({ length, ...rest }) => ({ ...rest, payload: Buffer.alloc(length, length % 251) }))
  }
)

test('any split of any sequence of frames gives the same frames', (t) => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      fc.boolean(),
      (frames, cuts, runs) => {
        const bytes = encode(frames)
        const found = readAll(split(bytes, cuts), { lengthMax: 9000, runs, classic: false })
        const expected = { frames, result: 'ok', midFrame: false }
        for (const [i, one] of found.frames.entries()) {
          const { control, channel } = expected.frames[i]
          if (one.header >>> 31 !== Number(control) || ((one.header >>> 24) & 127) !== channel) return false
          if (!one.payload.equals(expected.frames[i].payload)) return false
        }
        return found.frames.length === frames.length && found.result === 'ok' && !found.midFrame
      }
    ),
    RUNS
  )
  t.pass()
})

test('byte by byte gives the same frames, each but empty control frames assembled', (t) => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 6 }), fc.boolean(), (frames, runs) => {
      const bytes = encode(frames.map((one) => ({ ...one, payload: one.payload.subarray(0, 60) })))
      const found = readAll(
        Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
        { lengthMax: 60, runs, classic: false }
      )
      const whole = readAll([bytes], { lengthMax: 60, runs, classic: false })
      t.deepEqual(plain(found), plain(whole))
      const isAssembled = ({ header, payload }) => payload.length > 0 || header >>> 31 === 0
      t.true(found.frames.every((one) => one.assembled === isAssembled(one)))
      t.true(whole.frames.every((one) => !one.assembled))
    }),
    { numRuns: 100 }
  )
})

test('any bytes, split anyhow, are read as the reference reads them, and never beyond the limit', (t) => {
  // Random bytes alone are too long at once; short lengths in front of them reach the deeper states.
  const shortHeader = fc
    .tuple(fc.nat(80), fc.nat(255))
    .map(([length, high]) => Buffer.from([length, 0, 0, high]))
  const bytes = fc
    .array(fc.oneof(payload(60), shortHeader), { maxLength: 12 })
    .map((parts) => Buffer.concat(parts))
  fc.assert(
    fc.property(
      bytes,
      fc.array(fc.nat(), { maxLength: 12 }),
      fc.nat(100),
      fc.boolean(),
      fc.boolean(),
      (input, cuts, lengthMax, runs, classic) => {
        const found = readAll(split(input, cuts), { lengthMax, runs, classic })
        t.deepEqual(plain(found), plain(referenceRead(input, lengthMax, classic)))
        t.true(
          found.frames.every(
            (one) => one.payload.length <= (one.header >>> 31 ? CONTROL_LENGTH_MAX : lengthMax)
          )
        )
      }
    ),
    { numRuns: 1500 }
  )
})

test('the reader keeps its limits exactly', (t) => {
  const read = (header, classic = false, lengthMax = 100) => {
    const bytes = Buffer.alloc(4 + 2000)
    bytes.writeUInt32LE(header >>> 0)
    return readAll([bytes.subarray(0, 4), bytes.subarray(4)], { lengthMax, runs: false, classic }).result
  }
  t.is(readAll([Buffer.alloc(0)], { lengthMax: 1, runs: true }).result, 'ok')
  t.is(read(101), 'too long')
  t.is(read(0x05000065), 'too long')
  t.is(read(0x7fffffff), 'too long')
  t.is(read(0x84000401), 'too long')
  const whole = (header, classic) => {
    const bytes = Buffer.alloc(4 + (header & 0xffffff))
    bytes.writeUInt32LE(header >>> 0)
    return readAll([bytes], { lengthMax: 100, runs: true, classic })
  }
  t.is(whole(100).frames.length, 1)
  t.is(whole(0x7f000064).frames.length, 1)
  t.is(whole(0x84000400).frames.length, 1)
  // In classic the bits of the channel are part of the length.
  t.is(whole(100, true).frames.length, 1)
  t.is(whole(0x01000005, true).result, 'too long')
  t.is(whole(0x7f000000, true).result, 'too long')
})

test('a limit that is raised counts from the next frame on', (t) => {
  const reader = new native.Reader(4, true, false)
  t.is(reader.feed(encode([{ channel: 0, payload: Buffer.from('four') }])).frames.length, 1)
  reader.setLengthMax(200)
  t.is(reader.feed(encode([{ channel: 0, payload: Buffer.alloc(200) }])).frames.length, 1)
  t.is(reader.feed(encode([{ channel: 0, payload: Buffer.alloc(201) }])).result, 'too long')
})
