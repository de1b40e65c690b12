// A handler that throws must end the program with its words and its place, in every runtime.
import { ZerioClient, ZerioServer } from 'zerio'

const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
server.onMessage = () => {
  throw new Error('the handler threw')
}
await server.start('server')
const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
await client.start('client')
client.send(Buffer.from('oui'))
