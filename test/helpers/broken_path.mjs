// A path between clients and a server that a test can break: it relays bytes, and resets or cuts all its connections when it is asked to.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

export class BrokenPath {
  port = 0
  /** Connections that were relayed so far. */
  count = 0
  /** Whether new connections are taken. Others are reset. */
  open = true
  #pairs = new Set()
  #target
  #server

  /** A path to a port of this machine. It ends with the test. */
  static async start(t, target) {
    const path = new BrokenPath()
    path.#target = target
    path.#server = createServer((client) => path.#relay(client)).listen(0, '127.0.0.1')
    await once(path.#server, 'listening')
    path.port = path.#server.address().port
    t.teardown(() => path.stop())
    return path
  }

  /** Resets all connections, or ends their streams. Bytes that are under way are lost. */
  break(how = 'reset') {
    for (const pair of [...this.#pairs]) {
      for (const socket of pair) how === 'reset' ? socket.resetAndDestroy() : socket.end()
      this.#pairs.delete(pair)
    }
  }

  /** Passes nothing on, in both directions; the connections stay. */
  hold() {
    for (const [one, other] of this.#pairs) for (const socket of [one, other]) socket.unpipe()
  }

  stop() {
    this.open = false
    this.break()
    this.#server.close()
  }

  #relay(client) {
    client.on('error', () => {})
    if (!this.open) {
      client.resetAndDestroy()
      return
    }
    this.count++
    const server = connect(this.#target, '127.0.0.1')
    server.on('error', () => {})
    const pair = [client, server]
    this.#pairs.add(pair)
    client.pipe(server).pipe(client)
    for (const [one, other] of [pair, [server, client]])
      one.on('close', () => {
        this.#pairs.delete(pair)
        other.destroy()
      })
  }
}
