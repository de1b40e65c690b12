// What a user of the package runs first: a server and a client. The program prints the answer and the backend.

/** @param {'import' | 'require'} face how the program loads the package: as an ES module, or as CommonJS */
export function userProgram(face) {
  return `
  async function main() {
    const { once } = await import('node:events')
    const { ZerioClient, ZerioServer } = ${face === 'import' ? "await import('zerio')" : "require('zerio')"}
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    await client.start('client')
    client.send(Buffer.from('oui'))
    const [answer] = await once(client, 'message')
    console.log(String(answer), server.engine.backend)
    await client.stop()
    await server.stop()
  }
  main()
`
}
