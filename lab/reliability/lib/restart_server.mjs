// The server of restart.mjs: echoes, and says what it holds when it is asked.
import { ZerioServer } from 'zerio'

const [port, peersMax] = process.argv.slice(2).map(Number)
const server = new ZerioServer({ host: '127.0.0.1', port }, { maxPeers: peersMax })
server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
await server.start('server')
console.log(JSON.stringify({ port: server.listeningPort }))
process.stdin.on('data', () => {
  const rssMb = Math.round(process.memoryUsage.rss() / 1e6)
  console.log(JSON.stringify({ peers: server.peerCount, accepted: server.counters.accepted, rssMb }))
})
process.stdin.on('end', () => process.exit())
