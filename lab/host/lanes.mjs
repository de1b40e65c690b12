// The connections of every sending process: a server whose peer is the observer, a client of the observer, and a control.

import { once } from 'node:events'
import { connect } from 'node:net'
import { ZerioClient, ZerioServer } from 'zerio'
import { now } from './observer.mjs'

/**
 * `settings`: `ports` of the observer, `options` of server and client, and `liesMs`, for how long messages lie before they are sent: that
 * has to be noticed.
 */
export async function openLanes({ ports, options, liesMs = 0 }) {
  const manual = options.waitStrategy === 'manual'
  const control = connect({ host: '127.0.0.1', port: ports.control, noDelay: true })
  await once(control, 'connect')
  const tell = (line) => control.write(`${JSON.stringify(line)}\n`)
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  const client = new ZerioClient({ host: '127.0.0.1', port: ports.lane }, options)
  const fault = (text) => tell({ op: 'fault', text })
  for (const one of [server, client]) one.on('error', (error) => fault(`error event: ${error.message}`))
  await server.start('sender')
  tell({ op: 'ready', port: server.listeningPort })
  while (!server.peer('server')) {
    if (manual) server.poll()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await client.start('sender')
  const peer = server.peer('server')
  const lanes = { control, tell, fault, server, client, peer, cell: 0 }

  /** Opens a cell of `count` messages. */
  lanes.open = (name, count = 1) => {
    lanes.cell++
    tell({ op: 'cell', cell: lanes.cell, name, count })
    return lanes.cell
  }

  /** Sends message `index` of the cell on both lanes, and the control at the same moment. */
  lanes.send = (index = 0, padding = 0) => {
    const { cell } = lanes
    tell({ op: 'sent', cell, index, at: now() })
    const bytes = Buffer.from(`${cell}:${index}:${'.'.repeat(padding)}`)
    if (liesMs > 0) setTimeout(sendBytes, liesMs, bytes)
    else sendBytes(bytes)
  }

  function sendBytes(bytes) {
    const { cell } = lanes
    let status = 0
    if (cell % 2 === 0) status = peer.send(bytes)
    else if (server.broadcast(bytes) < 1) status = -1
    if (status !== 0) fault(`cell ${cell}: the server's send answered ${status}`)
    const at = client.claim(bytes.length)
    if (at < 0) fault(`cell ${cell}: the client's claim answered ${at}`)
    bytes.copy(client.buffer, at)
    client.commit()
  }
  return lanes
}
