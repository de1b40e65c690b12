// How much physical memory an engine locks: with Registered I/O what docs/windows.md says, with all others nothing.
import { once } from 'node:events'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { until } from '../helpers/until.mjs'

const CLIENTS = 40
const KIB = 1024
const OWN_BYTES = 8 * KIB
const OWN_STEP = 256 * KIB
const CHUNK_STEP = 1024 * KIB
const LONG_BYTES = 64 * KIB

async function meet(t, count) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  await server.start('server')
  const clients = Array.from(
    { length: count },
    () => new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
  )
  t.teardown(async () => {
    await Promise.all(clients.map((client) => client.stop()))
    await server.stop()
  })
  await Promise.all(clients.map((client, index) => client.start(`client ${index}`)))
  return { server, clients, locks: server.engine.backend === 'rio' }
}

test.serial('an engine locks 8 KiB for each connection, and gives them back', async (t) => {
  const { server, clients, locks } = await meet(t, CLIENTS)
  const { engine } = server
  t.is(clients[0].engine, engine)
  const steps = Math.ceil((2 * CLIENTS * OWN_BYTES) / OWN_STEP)
  t.is(engine.lockedBytes, locks ? steps * OWN_STEP : 0)
  await Promise.all(clients.map((client) => client.stop()))
  // One step stays for the next connection.
  await until(() => server.counters.peers === 0 && engine.lockedBytes <= OWN_STEP)
  t.is(engine.lockedBytes, locks ? OWN_STEP : 0)
})

test.serial(
  'long messages lock steps of 1 MiB, of which one for sends and one for receives stays',
  async (t) => {
    const { server, clients, locks } = await meet(t, CLIENTS)
    const { engine } = server
    const before = engine.lockedBytes
    await Promise.all(
      clients.map(async (client) => {
        const answer = once(client, 'message')
        client.send(Buffer.alloc(LONG_BYTES, 7))
        t.deepEqual((await answer)[0], Buffer.alloc(LONG_BYTES, 7))
      })
    )
    t.true(locks ? engine.lockedBytes >= before + CHUNK_STEP : engine.lockedBytes === 0)
    await Promise.all(clients.map((client) => client.stop()))
    await until(() => server.counters.peers === 0 && engine.lockedBytes <= OWN_STEP + 2 * CHUNK_STEP)
    t.true(engine.lockedBytes <= OWN_STEP + 2 * CHUNK_STEP)
  }
)

test('an engine that has ended locks nothing', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { maxMessageLength: 3000 })
  await server.start('server')
  const { engine } = server
  await server.stop()
  t.is(engine.lockedBytes, 0)
})
