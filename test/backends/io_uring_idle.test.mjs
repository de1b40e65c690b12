// Thousands of connections that say nothing: alone in a process, because they need most of its descriptors.

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { ownEngine, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { backend, uring } from '../helpers/uring.mjs'
import { connectRaw, dataFrame, hello } from '../helpers/wire_raw.mjs'

uring('idle connections hold no receive buffer', async (t) => {
  // The kernel has four buffers of 2 KiB (or 64 of 128 bytes), and every connection has its receive.
  const arena = { ...ownEngine({ waitStrategy: 'blocking' }), receiveArenaBytes: 16_384 }
  const server = await startServer(t, { ...arena, backend, handshakeTimeoutMs: 60_000 })
  const got = new Set()
  server.onMessage = (_peer, buffer, offset, length) =>
    got.add(buffer.toString('utf8', offset, offset + length))
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))[1]
  const count = Math.min(10_000, Math.floor((Number(limit) || Infinity) / 2 - 200))
  const raws = []
  while (raws.length < count) {
    const some = Array.from({ length: Math.min(200, count - raws.length) }, () =>
      connectRaw(t, server.listeningPort)
    )
    raws.push(...(await Promise.all(some)))
    for (const [i, raw] of raws.slice(-some.length).entries())
      raw.write(hello({ id: `${raws.length - some.length + i}` }))
    await until(() => server.peerCount === raws.length)
  }
  // A connection without a buffer would make each poll receive again. The last ones become peers meanwhile.
  let polls = Infinity
  for (let tries = 0; polls >= 10 && tries < 30; tries++) {
    const before = server.engine.counters.polls
    await pause(300)
    polls = server.engine.counters.polls - before
  }
  t.true(polls < 10)
  for (const [i, raw] of raws.entries()) {
    raw.write(dataFrame(Buffer.from(`message ${i}`)))
    if (i % 500 === 499) await until(() => got.size === i + 1)
  }
  await until(() => got.size === count)
  t.log(`${count} connections`)
})
