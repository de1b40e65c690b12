// A network between clients and a gateway that can go down: it relays bytes over TCP, and loses what is on its way when it goes down.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

export class Network {
  port = 0
  #isUp = true
  #sockets = new Set()
  #listener = createServer((client) => this.#relay(client))
  #gatewayPort

  constructor(gatewayPort) {
    this.#gatewayPort = gatewayPort
  }

  async start() {
    this.#listener.listen(0, '127.0.0.1')
    await once(this.#listener, 'listening')
    this.port = this.#listener.address().port
  }

  /** Resets every connection, and each new one until `up` is called. */
  down() {
    this.#isUp = false
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  up() {
    this.#isUp = true
  }

  stop() {
    this.down()
    this.#listener.close()
  }

  #relay(client) {
    const gateway = this.#isUp ? connect(this.#gatewayPort, '127.0.0.1') : undefined
    this.#keep(client, gateway)
    if (gateway === undefined) {
      client.resetAndDestroy()
      return
    }
    this.#keep(gateway, client)
    client.pipe(gateway).pipe(client)
  }

  #keep(socket, other) {
    this.#sockets.add(socket)
    socket.on('error', () => {}) // `close` follows.
    socket.on('close', () => {
      this.#sockets.delete(socket)
      other?.destroy()
    })
  }
}
