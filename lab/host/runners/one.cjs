// The work of each of a hundred test files: it loads the package anew, starts a server and a client, exchanges an echo, and stops.

const { strict: assert } = require('node:assert')
const { once } = require('node:events')

module.exports = async function echo(zerio, number) {
  const { ZerioClient, ZerioServer } = zerio
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  await server.start('server')
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
  await client.start(`client ${number}`)
  client.send(Buffer.from(`question ${number}`))
  const [bytes] = await once(client, 'message')
  assert.equal(bytes.toString(), `question ${number}`)
  await client.stop()
  await server.stop()
}
