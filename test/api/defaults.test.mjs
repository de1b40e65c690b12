// ZerioServer.defaults and ZerioClient.defaults: options for those that are made later and are not given them.

import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { connectNative, watch } from '../helpers/wire_raw.mjs'

// The defaults are of the whole thread.
const { serial } = test
const classes = { ZerioServer, ZerioClient }

test.afterEach.always(() => {
  for (const Class of Object.values(classes)) Class.defaults = {}
})

serial('they hold for what is made afterwards and is not given them', async (t) => {
  const before = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => before.stop())
  ZerioServer.defaults = { idleTimeoutMs: 20, maxPeers: 1 }
  const after = await startServer(t, { maxPeers: 2 })
  const given = await startServer(t, { idleTimeoutMs: 0 })
  const undef = await startServer(t, { idleTimeoutMs: undefined })
  ZerioServer.defaults = {}
  await before.start('before')
  const seen = [before, given, after, undef].map((server) => watch(server))
  for (const server of [before, given, after, undef]) await connectNative(t, server, 'silent')
  await until(() => seen[2].disconnected.length === 1 && seen[3].disconnected.length === 1)
  t.deepEqual(
    seen.map(({ disconnected }) => disconnected.length),
    [0, 0, 1, 1]
  )
})

serial('one property can be set, and those of clients are others', async (t) => {
  ZerioServer.defaults.maxPeers = 1
  ZerioClient.defaults.idleTimeoutMs = 20
  const server = await startServer(t)
  const client = await startClient(t, server)
  await until(() => !client.isConnected)
  const stays = await startClient(t, server, 'stays', { idleTimeoutMs: 0 })
  await t.throwsAsync(startClient(t, server, 'one too many'), { code: 'ZERIO_SERVER_FULL' })
  t.true(stays.isConnected)
})

for (const [name, Class] of Object.entries(classes)) {
  const refuses = (t, defaults, message, options) => {
    Class.defaults = defaults
    t.throws(() => new Class(1, options), { code: 'ZERIO_BAD_OPTION', message })
  }

  serial(`${name}.defaults: a mistake is named, with where it comes from`, (t) => {
    const from = `${name}\\.defaults`
    refuses(t, { heartbeatMs: 9 }, new RegExp(`"heartbeatMs" must be .* It comes from ${from}`))
    refuses(t, { heartbeatMs: '9' }, new RegExp(`"heartbeatMs" must be .* It comes from ${from}`))
    refuses(t, { nonsense: 9 }, new RegExp(`"nonsense", which ${from} has`))
    refuses(t, { sendRingBytes: 9000 }, new RegExp(`"sendRingBytes" .*${from}`))
    refuses(t, { sendRingBytes: 9000 }, new RegExp(`"sendRingBytes" .*${from}`), { noDelay: false })
    for (const wrong of [3, null, 'text', []])
      refuses(t, wrong, new RegExp(`${from} must be an object of options`))
  })

  serial(`${name}.defaults: a mistake in what is given is not put down to them`, (t) => {
    const isOwn = /^(?!.*defaults)/
    refuses(t, { lingerMs: 5 }, isOwn, { heartbeatMs: 9 })
    refuses(t, { lingerMs: 5 }, isOwn, { nonsense: 9 })
    refuses(t, { lingerMs: 5 }, isOwn, 3)
    refuses(t, { heartbeatMs: 9 }, isOwn, { lingerMs: -1 })
    Class.defaults = { heartbeatMs: 9 }
    t.notThrows(() => new Class(1, { heartbeatMs: 0 }))
  })
}

serial('a source address in the defaults is for clients that have one', (t) => {
  ZerioClient.defaults = { localAddress: { host: '127.0.0.1' } }
  t.throws(() => new ZerioClient({ host: '::1', port: 1 }), {
    code: 'ZERIO_BAD_OPTION',
    message: /127\.0\.0\.1/
  })
  if (process.platform === 'win32') return
  t.notThrows(() => new ZerioClient({ path: '/tmp/x' }))
  t.throws(() => new ZerioClient({ path: '/tmp/x' }, { localAddress: { host: '127.0.0.1' } }), {
    code: 'ZERIO_BAD_OPTION',
    message: /leave it out for a path/
  })
})

serial('options that only fit together with given ones are put down to both', (t) => {
  ZerioClient.defaults = { session: true }
  t.throws(() => new ZerioClient(1, { protocol: 'classic' }), {
    code: 'ZERIO_BAD_OPTION',
    message: /"session" needs the native protocol.* ZerioClient\.defaults/
  })
  t.notThrows(() => new ZerioClient(1, { protocol: 'classic', session: false }))
})
