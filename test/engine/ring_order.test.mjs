// The send ring over many wraps: many megabytes of numbered, checksummed messages of random sizes, in each wait strategy.

import { once } from 'node:events'
import { crc32 } from 'node:zlib'
import test from 'ava'
import { SendStatus } from 'zerio'
import { randomFrom, startPair } from '../helpers/link.mjs'
import { pollUntil, until } from '../helpers/until.mjs'

const HEAD_BYTES = 12
const BYTES_EACH_WAY = 12e6
const RING_BYTES = 40_000
const LENGTH_MAX = 15_000

const random = Buffer.alloc(65536)
const fill = randomFrom(99)
for (let i = 0; i < random.length; i++) random[i] = fill(256)
// zlib.crc32 came after Node 20.19.
const checksum = crc32 ?? fletcher

function fletcher(bytes) {
  let low = 1
  let high = 0
  for (let i = 0; i < bytes.length; i++) {
    low = (low + bytes[i]) % 65521
    high = (high + low) % 65521
  }
  return high * 65536 + low
}

/** Writes message `index` with sizes from tiny to the longest, sometimes with an aborted claim in front. */
function makeSource(sender, seed) {
  const below = randomFrom(seed)
  let bytes = 0
  let index = 0
  let next = plan()
  function plan() {
    const length = below(10) === 0 ? below(LENGTH_MAX - HEAD_BYTES) : below(below(4) === 0 ? 2000 : 40)
    return { length: HEAD_BYTES + length, from: below(random.length - length), how: below(4) }
  }
  function write(target, at) {
    random.copy(target, at + HEAD_BYTES, next.from, next.from + next.length - HEAD_BYTES)
    target.writeUInt32LE(index, at)
    target.writeUInt32LE(next.length, at + 4)
    target.writeUInt32LE(checksum(target.subarray(at + HEAD_BYTES, at + next.length)), at + 8)
  }
  function sendNext() {
    if (next.how === 0) {
      const wasted = sender.claim(below(LENGTH_MAX))
      if (wasted >= 0) sender.abort()
    }
    if (next.how < 2) {
      const at = sender.claim(next.length)
      if (at < 0) return at
      write(sender.buffer, at)
      return sender.commit()
    }
    const message = Buffer.allocUnsafe(next.length + 10)
    const at = next.how === 2 ? 0 : 7
    write(message, at)
    return next.how === 2
      ? sender.send(message.subarray(0, next.length))
      : sender.send(message, at, next.length)
  }
  return {
    get done() {
      return bytes >= BYTES_EACH_WAY
    },
    get count() {
      return index
    },
    /** Sends until the ring is full or all is sent. Returns the last status. */
    pump() {
      while (bytes < BYTES_EACH_WAY) {
        const status = sendNext()
        if (status !== SendStatus.Sent) return status
        bytes += next.length
        index++
        next = plan()
      }
      return SendStatus.Sent
    }
  }
}

function makeSink(t) {
  let next = 0
  let wrong = 0
  return {
    get count() {
      return next
    },
    take(buffer, offset, length) {
      const sum = checksum(buffer.subarray(offset + HEAD_BYTES, offset + length))
      const good =
        length >= HEAD_BYTES &&
        buffer.readUInt32LE(offset) === next &&
        buffer.readUInt32LE(offset + 4) === length &&
        buffer.readUInt32LE(offset + 8) === sum
      if (!good && wrong++ === 0) {
        t.fail(`message ${next} arrived as number ${buffer.readUInt32LE(offset)}, ${length} bytes`)
      }
      next++
    }
  }
}

for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'adaptive', 'manual']) {
  test.serial(
    `messages keep order and content over hundreds of wraps, both ways at once: ${waitStrategy}`,
    async (t) => {
      const { server, client, peer } = await startPair(t, {
        waitStrategy,
        sendRingBytes: RING_BYTES,
        maxMessageLength: LENGTH_MAX
      })
      const up = { source: makeSource(client, 1), sink: makeSink(t) }
      const down = { source: makeSource(peer, 2), sink: makeSink(t) }
      server.onMessage = (_peer, buffer, offset, length) => up.sink.take(buffer, offset, length)
      client.onMessage = down.sink.take
      const pump = async (source, drained) => {
        while (!source.done) {
          const next = drained()
          if (source.pump() === SendStatus.BackPressured) await next
        }
      }
      const finished = Promise.all([
        pump(up.source, () => once(client, 'drain')),
        pump(down.source, () => once(server, 'drain'))
      ])
      const wait = waitStrategy === 'manual' ? (...args) => pollUntil(server, ...args) : until
      await wait(
        () =>
          up.source.done &&
          down.source.done &&
          up.sink.count >= up.source.count &&
          down.sink.count >= down.source.count
      )
      await finished
      t.is(up.sink.count, up.source.count)
      t.is(down.sink.count, down.source.count)
      t.is(client.counters.messagesSent, up.source.count)
      t.true(client.counters.bytesSent > BYTES_EACH_WAY)
      // Otherwise the rings were never full, and the test proves little.
      t.true(client.counters.backPressured > 0 && peer.counters.backPressured > 0)
      t.is(server.engine.counters.corruptions, 0)
    }
  )
}
