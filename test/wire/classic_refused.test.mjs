// allowClassic: false refuses classic clients, and native peers notice nothing.

import test from 'ava'
import { makeClient, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { connectRaw, dataFrame, watch } from '../helpers/wire_raw.mjs'

test('a server refuses a classic handshake without a frame', async (t) => {
  const server = await startServer(t, { allowClassic: false })
  const seen = watch(server)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(dataFrame('classic'))
  t.is((await raw.ends()).length, 0)
  await until(() => seen.refused.length === 1)
  t.like(seen.refused[0], { code: 'ZERIO_UNSUPPORTED_VERSION', closeCode: 1012 })
  t.is(server.counters.refused, 1)
  t.is(server.counters.protocolErrors, 1)
  await t.throwsAsync(makeClient(t, server, { protocol: 'classic' }).start('classic'), {
    code: 'ZERIO_HANDSHAKE_FAILED'
  })
  await startClient(t, server, 'native')
  t.deepEqual(
    seen.connected.map(({ id }) => id),
    ['native']
  )
})

test('first bytes that are no handshake have a reason of their own', async (t) => {
  const server = await startServer(t, { allowClassic: false })
  const seen = watch(server)
  const raw = await connectRaw(t, server.listeningPort)
  raw.write(dataFrame('\x01\x02'))
  await raw.ends()
  await until(() => seen.refused.length === 1)
  t.is(seen.refused[0].code, 'ZERIO_INVALID_PEER_ID')
})
