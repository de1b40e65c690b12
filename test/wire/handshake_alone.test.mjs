// The readers and writers of control frames without sockets: what is written is read back, and no bytes crash a reader.

import test from 'ava'
import fc from 'fast-check'
import { CODE, native } from '../helpers/wire_native.mjs'

const HELLO = 1
const CLOSE = 6

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
function isText(bytes) {
  try {
    strictText.decode(bytes)
    return true
  } catch {
    return false
  }
}
const isId = (bytes) =>
  bytes.length > 0 && bytes.length <= 255 && isText(bytes) && !/\p{Cc}/u.test(Buffer.from(bytes).toString())

const bytes = (max, min = 0) =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((array) => Buffer.from(array))
/** Bytes that are nearly text: lead and continuation bytes are frequent. */
const nearlyText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        0x41,
        0x7f,
        0x80,
        0x9f,
        0xa0,
        0xbf,
        0xc0,
        0xc2,
        0xdf,
        0xe0,
        0xed,
        0xef,
        0xf0,
        0xf4,
        0xf5
      ),
      fc.nat(255)
    ),
    { maxLength: 12 }
  )
  .map((array) => Buffer.from(array))
const id = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .map((text) => Buffer.from(text))
  .filter(isId)

test('a greeting that is written is read back', (t) => {
  fc.assert(
    fc.property(id, bytes(512), fc.nat(0xffffff), (name, credential, lengthMax) => {
      const frame = native.writeGreeting(HELLO, lengthMax, name, credential)
      t.is(frame.readUInt32LE(0), 0x81000000 + 16 + name.length + credential.length)
      t.deepEqual(native.readGreeting(frame.subarray(4)), {
        code: CODE.none,
        lengthMax,
        id: name,
        credential
      })
    })
  )
})

test('a farewell that is written is read back', (t) => {
  const code = fc.nat(65535).filter((number) => number < 2000 || number > 2999)
  fc.assert(
    fc.property(code, fc.string({ unit: 'grapheme', maxLength: 40 }), (number, text) => {
      const frame = native.writeFarewell(CLOSE, number, Buffer.from(text))
      const reason = Buffer.from(text)
      t.is(frame.readUInt32LE(0), 0x86000000 + 2 + reason.length)
      t.deepEqual(native.readFarewell(frame.subarray(4)), { code: CODE.none, number, reason })
    })
  )
})

test('one wrong field makes a greeting wrong, with the code of that field', (t) => {
  const good = native.writeGreeting(HELLO, 65536, Buffer.from('client'), Buffer.from('key')).subarray(4)
  const spoil = (offset, ...values) => {
    const copy = Buffer.from(good)
    copy.set(values, offset)
    return native.readGreeting(copy).code
  }
  t.is(native.readGreeting(good).code, CODE.none)
  for (let i = 0; i < 4; i++) t.is(spoil(i, good[i] ^ 1), CODE.malformedHello, `magic ${i}`)
  for (const version of [0, 2, 255]) t.is(spoil(4, version), CODE.unsupportedVersion)
  for (let bit = 0; bit < 8; bit++) t.is(spoil(5, 1 << bit), CODE.malformedHello, `flags bit ${bit}`)
  t.is(spoil(6, 5), CODE.malformedHello)
  t.is(spoil(6, 7), CODE.malformedHello)
  t.is(spoil(7, 1), CODE.malformedHello)
  t.is(spoil(11, 1), CODE.malformedHello)
  t.is(spoil(12, 2), CODE.malformedHello)
  t.is(spoil(13, 255), CODE.malformedHello)
  for (let bit = 0; bit < 16; bit++) {
    t.is(spoil(14 + (bit >> 3), 1 << (bit & 7)), CODE.malformedHello, `reserved bit ${bit}`)
  }
  // Lengths that agree with each other and not with the rules.
  t.is(spoil(6, 0, 0, 0, 0, 1, 0, 9, 0), CODE.invalidPeerId, 'an empty id')
  t.is(spoil(16, 0x0a), CODE.invalidPeerId, 'a control character')
  t.is(spoil(16, 0xff), CODE.invalidPeerId, 'no UTF-8')
})

test('the reader keeps the sizes exactly', (t) => {
  const greeting = (idBytes, credentialBytes) => {
    const payload = Buffer.alloc(16 + idBytes + credentialBytes, 'a')
    native.writeGreeting(HELLO, 1, Buffer.alloc(0), Buffer.alloc(0)).copy(payload, 0, 4)
    payload.writeUInt16LE(idBytes, 6)
    payload.writeUInt16LE(credentialBytes, 12)
    return native.readGreeting(payload).code
  }
  t.is(greeting(1, 0), CODE.none)
  t.is(greeting(255, 512), CODE.none)
  t.is(greeting(256, 0), CODE.invalidPeerId)
  t.is(greeting(1, 513), CODE.malformedHello)
  const farewell = (reasonBytes) => native.readFarewell(Buffer.alloc(2 + reasonBytes, 'a')).code
  t.is(farewell(0), CODE.none)
  t.is(farewell(256), CODE.none)
  t.is(farewell(257), CODE.protocolError)
  t.is(native.readFarewell(Buffer.from([1])).code, CODE.protocolError)
  t.is(native.readFarewell(Buffer.alloc(0)).code, CODE.protocolError)
})

test('the reader refuses codes that only one side knows', (t) => {
  const farewell = (number) => native.readFarewell(Buffer.from([number & 255, number >> 8])).code
  for (const number of [1999, 3000, 4000, 4999, 65535]) t.is(farewell(number), CODE.none, String(number))
  for (const number of [2000, 2005, 2999]) t.is(farewell(number), CODE.protocolError, String(number))
})

test('any truncation of a greeting is refused', (t) => {
  const good = native.writeGreeting(HELLO, 65536, Buffer.from('client'), Buffer.from('key')).subarray(4)
  for (let size = 0; size < good.length; size++) {
    t.not(native.readGreeting(good.subarray(0, size)).code, CODE.none, `${size} bytes`)
  }
})

test('any bytes get a code, and those that pass keep the rules', (t) => {
  const header = native.writeGreeting(HELLO, 1, Buffer.alloc(0), Buffer.alloc(0)).subarray(4)
  const sized = fc.tuple(nearlyText, bytes(5)).map(([name, rest]) => {
    const payload = Buffer.concat([header, name, rest])
    payload.writeUInt16LE(name.length, 6)
    payload.writeUInt16LE(rest.length, 12)
    return payload
  })
  const known = Object.values(CODE)
  fc.assert(
    fc.property(
      fc.oneof(
        bytes(60),
        bytes(40).map((tail) => Buffer.concat([header, tail])),
        sized
      ),
      (payload) => {
        const greeting = native.readGreeting(payload)
        t.true(known.includes(greeting.code))
        if (greeting.code === CODE.none) t.true(isId(greeting.id) && greeting.lengthMax <= 0xffffff)
        const farewell = native.readFarewell(payload)
        t.true(known.includes(farewell.code))
        if (farewell.code === CODE.none) t.true(isText(farewell.reason) && farewell.reason.length <= 256)
      }
    ),
    { numRuns: 2000 }
  )
})

test('text is what the standard decoder takes, and an id is text without control characters', (t) => {
  fc.assert(
    fc.property(fc.oneof(nearlyText, bytes(8)), (name) => {
      t.is(native.isUtf8(name), isText(name), name.toString('hex'))
      t.is(native.isNativeId(name), isId(name), name.toString('hex'))
      t.is(native.isClassicId(name), /^[\x20-\x7e]+$/.test(name.toString('latin1')), name.toString('hex'))
    }),
    { numRuns: 5000 }
  )
  for (const length of [255, 256]) {
    t.is(native.isNativeId(Buffer.alloc(length, 'a')), length === 255)
    t.is(native.isClassicId(Buffer.alloc(length, 'a')), length === 255)
  }
})
