// An array that is sent again and again is read through a view made once, and the messages must not show it.

import test from 'ava'
import { SendStatus } from 'zerio'
import { collect, pattern, startPair } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const TIMES = 50

/** Sends what `next(i)` returns, TIMES times, and checks that exactly the bytes of that moment arrive. */
async function sendEach(t, next) {
  const { server, client } = await startPair(t)
  const got = collect(server)
  const expected = []
  for (let i = 0; i < TIMES; i++) {
    const bytes = next(i)
    expected.push(Buffer.from(bytes))
    t.is(client.send(bytes), SendStatus.Sent)
  }
  await until(() => got.length === TIMES)
  for (let i = 0; i < TIMES; i++) t.deepEqual(got[i].bytes, expected[i], `message ${i}`)
}

for (const length of [4, 8, 12, 16, 20, 32, 60, 64, 68, 128, 3, 33]) {
  test(`an array of ${length} bytes that changes before each send is sent as it is then`, async (t) => {
    const bytes = Buffer.from(new ArrayBuffer(length))
    await sendEach(t, (i) => {
      bytes.set(pattern(length, i))
      return bytes
    })
  })
}

test('an array at an odd offset is sent as it is', async (t) => {
  const bytes = new Uint8Array(new ArrayBuffer(64), 3, 32)
  await sendEach(t, (i) => {
    bytes.set(pattern(32, i))
    return bytes
  })
})

test('an array between messages of odd lengths is sent as it is', async (t) => {
  const bytes = Buffer.from(new ArrayBuffer(32))
  await sendEach(t, (i) => {
    if (i > 10 && i % 3 === 0) return pattern(i, i)
    bytes.set(pattern(32, i))
    return bytes
  })
})

test('several arrays in turn are sent as they are', async (t) => {
  const arrays = [1, 2, 3].map((seed) => Buffer.from(new Uint8Array(pattern(32, seed))))
  await sendEach(t, (i) => arrays[(i >> 3) % 3])
})

test('an array of shared memory is sent as it is', async (t) => {
  const bytes = new Uint8Array(new SharedArrayBuffer(32))
  await sendEach(t, (i) => {
    bytes.set(pattern(32, i))
    return bytes
  })
})

test('an array whose memory is transferred away is an empty message', async (t) => {
  const memory = new ArrayBuffer(32)
  const bytes = new Uint8Array(memory).fill(7)
  await sendEach(t, (i) => {
    if (i === 20) structuredClone(memory, { transfer: [memory] })
    return bytes
  })
})

test('an array whose memory shrinks and grows is sent as it is then', async (t) => {
  const memory = new ArrayBuffer(32, { maxByteLength: 64 })
  const bytes = new Uint8Array(memory)
  await sendEach(t, (i) => {
    if (i > 20) memory.resize((i % 16) * 4)
    bytes.fill(i)
    return bytes
  })
})
