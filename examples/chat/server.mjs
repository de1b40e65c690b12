// A chat with presence: each client sees who is here, who comes and who goes, and what the others say.
//
// Few messages, so this one takes the easy way: the `message` event, strings and JSON. They are garbage, which does not matter here.
//
//     node examples/chat/server.mjs [port]
import { ZerioServer } from 'zerio'

const server = new ZerioServer(
  { host: '127.0.0.1', port: Number(process.argv[2] ?? 48654) },
  // A name belongs to the one who has it. Who is silent for four heartbeats is gone.
  { duplicateIds: 'refuse', heartbeatMs: 5_000, maxMessageLength: 4_096 }
)

// A reader that lets its whole ring fill up does not read any more: the topic closes it.
const room = server.topic('room', { slow: 'close' })
const bytesOf = (event) => Buffer.from(JSON.stringify(event))
const sendToOthers = (from, event) => room.publishExcept(from, bytesOf(event))

server.on('clientConnected', (name, peer) => {
  peer.send(bytesOf({ kind: 'here', names: server.peers.map(({ id }) => id).sort() }))
  sendToOthers(peer, { kind: 'came', name })
  room.add(peer)
})
server.on('clientDisconnected', (name, _reason, peer) => sendToOthers(peer, { kind: 'left', name }))
server.on('message', (name, message, _channel, peer) => {
  // The name is the connection's: a client cannot speak for another one.
  sendToOthers(peer, { kind: 'said', name, text: message.toString() })
})

await server.start('chat')
console.log(`listening on ${server.listeningPort}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.stop())
