// A peer's own handler: its messages go there instead of to the server's.
import test from 'ava'
import { ZerioError } from 'zerio'
import { collect, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

test('a peer with a handler of its own has its messages there, and the others theirs at the server', async (t) => {
  const seen = []
  const note = (where) => (peer, buffer, offset, length, channel) =>
    seen.push(`${where} ${peer.id} ${buffer.toString('utf8', offset, offset + length)} ${channel}`)
  const server = await startServer(t)
  server.onMessage = note('server')
  const copies = collect(server)
  server.on('clientConnected', (id, peer) => {
    t.is(peer.onMessage, null)
    if (id === 'one') peer.onMessage = note('own')
  })
  const one = await startClient(t, server, 'one')
  const two = await startClient(t, server, 'two')
  one.send(Buffer.from('a'), 3)
  await until(() => seen.length === 1)
  two.send(Buffer.from('b'))
  await until(() => seen.length === 2)
  const peer = server.peer('one')
  t.is(typeof peer.onMessage, 'function')
  peer.onMessage = null
  one.send(Buffer.from('c'))
  await until(() => seen.length === 3)
  t.deepEqual(seen, ['own one a 3', 'server two b 0', 'server one c 0'])
  t.is(copies.length, 3)
})

test('a handler that is replaced in a handler gets the next message of the same batch', async (t) => {
  const server = await startServer(t)
  const seen = []
  server.onMessage = (peer) => {
    seen.push('server')
    peer.onMessage = () => {
      seen.push('own')
      peer.onMessage = undefined
    }
  }
  const client = await startClient(t, server)
  for (let i = 0; i < 4; i++) client.send(Buffer.from('x'))
  await until(() => seen.length === 4)
  t.deepEqual(seen, ['server', 'own', 'server', 'own'])
})

test('what is no handler is refused', async (t) => {
  const server = await startServer(t)
  await startClient(t, server)
  const [peer] = await until(() => server.peers.length > 0 && server.peers)
  const refused = { instanceOf: ZerioError, code: 'ZERIO_BAD_ARGUMENT', message: /a function or null, not 5/ }
  t.throws(() => {
    peer.onMessage = 5
  }, refused)
  t.is(peer.onMessage, null)
})
