import {
  type Address,
  type ClientOptions,
  CloseCode,
  type ConnectionCounters,
  type DisconnectReason,
  type Peer,
  readClock,
  SendStatus,
  type ServerOptions,
  ZerioClient,
  type ZerioError,
  ZerioServer
} from 'zerio'

const options: ServerOptions = {
  waitStrategy: 'hybrid',
  spinUs: 20,
  duplicateIds: 'replace',
  authenticate: (id: string, credential: Buffer) => id.length > credential.length
}
const address: Address = { port: 0 }
const server = new ZerioServer(address, options)
server.on('clientConnected', (peerId, peer) => {
  const id: string = peerId
  const status: SendStatus = peer.send(new Uint8Array(4), 1, 2, 3)
  if (status === SendStatus.BackPressured) peer.userData = id
})
server.on('clientDisconnected', (peerId, reason, peer) => {
  const text: string = peerId + reason.code + reason.message + peer.id
  const code: number = reason.closeCode
  return [text, code]
})
server.on('message', (peerId, message, channel, peer) => {
  const status: SendStatus = server.send(peerId, message.subarray(1), channel)
  peer.close(CloseCode.ApplicationMin, String(status))
})
server.on('drain', (peer: Peer) => peer.isOpen)
server.on('refused', (reason: DisconnectReason) => reason.local)
server.on('error', (error: ZerioError) => error.code.length)
server.onMessage = (peer, buffer, offset, length, channel) => {
  peer.send(buffer, offset, length, channel)
}
export async function main(): Promise<number> {
  await server.start('server')
  const clientOptions: ClientOptions = { credential: 'secret', protocol: 'native' }
  const client = new ZerioClient({ host: 'localhost', port: server.listeningPort }, clientOptions)
  client.on('connected', () => {})
  client.on('disconnected', (reason) => reason.errno)
  client.on('drain', () => {})
  client.on('message', (message, channel) => message.readInt8(channel))
  client.onMessage = (buffer, offset) => buffer.readDoubleLE(offset)
  await client.start('client')
  const at: number = client.claim(8)
  client.view.setFloat64(at, 1.5, true)
  const done: SendStatus = client.commit()
  const counters: ConnectionCounters = client.counters
  const times = new Float64Array(2)
  readClock(times, 1)
  const taken: number = server.broadcast(times.subarray(0, 0) && new Uint8Array(1))
  const found: Peer | undefined = server.peer('client')
  await client.stop()
  await server[Symbol.asyncDispose]()
  return done + taken + counters.messagesSent + (found?.counters.bytesSent ?? 0)
}

// @ts-expect-error unknown events are mistakes
server.on('clientConnect', () => {})
// @ts-expect-error unknown options are mistakes
new ZerioServer(0, { waitStrategie: 'spin' })
// @ts-expect-error servers only
new ZerioClient(0, { maxPeers: 4 })
// @ts-expect-error not one of the strategies
new ZerioServer(0, { waitStrategy: 'fast' })
// @ts-expect-error a message is bytes
server.send('client', 'text')
// @ts-expect-error internal
server._close
// @ts-expect-error read only
server.listeningPort = 5
