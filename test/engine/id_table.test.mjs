// The table of ids: clients choose ids, and no choice may make the table slow.

import test from 'ava'
import { native } from '../helpers/wire_native.mjs'

const key = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n]
const upTo = (count) => Uint8Array.from({ length: count }, (_, i) => i)

test('SipHash-2-4 gives the vectors that its authors published', (t) => {
  const expected = [
    0x726fdb47dd0e0e31n,
    0x74f839c593dc67fdn,
    0x0d6c8009d9a94f5an,
    0x85676696d7fb7e2dn,
    0xcf2794e0277187b7n
  ]
  for (const [count, hash] of expected.entries())
    t.is(native.sipHash(...key, upTo(count), 2), hash, `${count} bytes`)
  t.is(native.sipHash(...key, upTo(15), 2), 0xa129ca6149be45e5n)
})

test('SipHash-1-3, which the table uses, gives the vectors that its other users share', (t) => {
  const expected = [
    0xabac0158050fc4dcn,
    0xc9f49bf37d57ca93n,
    0x82cb9b024dc7d44dn,
    0x8bf80ab8e7ddf7fbn,
    0xcf75576088d38328n
  ]
  for (const [count, hash] of expected.entries())
    t.is(native.sipHash(...key, upTo(count), 1), hash, `${count} bytes`)
})

test('the table spreads ids that collide under the hash of the standard library', (t) => {
  t.true(native.mostInOneBucket(colliding(100)) < 10)
})

/** Printable ids of 16 bytes that MurmurHash64A with the seed of libstdc++ maps to one value. */
function colliding(count) {
  const mask = 2n ** 64n - 1n
  const factor = 0xc6a4a7935bd1e995n
  let back = factor
  for (let i = 0; i < 6; i++) back = (back * (2n - factor * back)) & mask
  const mix = (value) => value ^ (value >> 47n)
  const words = new BigUint64Array(2)
  const bytes = Buffer.from(words.buffer)
  const start = 0xc70f6907n ^ ((16n * factor) & mask)
  const end = (0x123456789abcdef0n * back) & mask
  const ids = []
  for (let number = 1n; ids.length < count; number++) {
    let digits = (number * 0x9e3779b97f4a7c15n) & mask
    for (let i = 0; i < 8; i++, digits >>= 7n) bytes[i] = 0x21 + Number(digits & 63n)
    const first = ((start ^ ((mix((words[0] * factor) & mask) * factor) & mask)) * factor) & mask
    words[1] = (mix(((first ^ end) * back) & mask) * back) & mask
    if (bytes.every((byte) => byte >= 0x20 && byte <= 0x7e)) ids.push(bytes.toString('latin1'))
  }
  return ids
}
