// Starts servers and clients over real sockets on a free port, and stops them when the test ends.

import { once } from 'node:events'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'
import { pollUntil, until } from './until.mjs'

let engines = 0

/**
 * Engine options that no other test of this file has. Objects with equal options share an engine, and with `manual` another
 * object's start or stop makes the loop dispatch for all of them.
 */
export function ownEngine(options) {
  return { ...options, sendRingBytes: 262_144 + 4096 * ++engines }
}

/** A started server. `prepare(server)` attaches handlers before it starts. */
export async function startServer(t, options, prepare) {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
  t.teardown(() => server.stop())
  prepare?.(server)
  await server.start('server')
  return server
}

/** A client of `server`, not started. */
export function makeClient(t, server, options) {
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
  t.teardown(() => client.stop())
  return client
}

/** A connected client of `server`. */
export async function startClient(t, server, id = 'client', options = undefined, prepare = undefined) {
  const client = makeClient(t, server, options)
  prepare?.(client)
  await client.start(id)
  return client
}

/** A server, a client that is connected to it, and the server's handle of the client. Both have the same options. */
export async function startPair(t, options = {}, { server: serverOptions, client: clientOptions } = {}) {
  const server = await startServer(t, { lingerMs: 2000, ...options, ...serverOptions })
  const client = await startClient(t, server, 'client', { lingerMs: 2000, ...options, ...clientOptions })
  const find = () => server.peer('client')
  const peer = await (options.waitStrategy === 'manual' ? pollUntil(server, find) : until(find))
  return { server, client, peer }
}

/** All messages that arrive at `receiver` from now on, copied, in order. */
export function collect(receiver) {
  const messages = []
  receiver.on('message', (...args) => {
    const [bytes, channel] = typeof args[0] === 'string' ? args.slice(1) : args
    messages.push({ bytes, channel })
  })
  return messages
}

/** Sends one message from a client, waiting for room as long as it takes. */
export async function sendWhenRoom(client, ...message) {
  for (;;) {
    const status = client.send(...message)
    if (status !== SendStatus.BackPressured) return status
    await once(client, 'drain')
  }
}

/** Sends to a peer that reads nothing until its ring holds more than one of these messages. */
export function fillRing(peer) {
  return until(() => {
    while (peer.send(Buffer.alloc(60_000)) === SendStatus.Sent);
    peer.flush()
    return peer.pendingBytes > 60_000
  })
}

/** Bytes that depend on their place and on `seed`, so that any shift or mix-up shows. */
export function pattern(length, seed = 0) {
  const bytes = Buffer.allocUnsafe(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 17 + seed * 101 + 7) & 255
  return bytes
}

/** Random integers from 0 to `below - 1`, the same for each run with the same seed. */
export function randomFrom(seed) {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}
