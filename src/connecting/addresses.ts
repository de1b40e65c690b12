// The two ends of a connection, as programs and people read them.
import type { Engine } from '../engine/engine.js'
import { pathOfHost } from '../options/address.js'

/**
 * As in `127.0.0.1:50000`, `[::1]:50000` or `unix:/run/one.sock`; `unix:` alone for a socket without a name, as most clients have, and
 * `unix:@name` for one without a file. Both are empty when the system has forgotten them already.
 */
export interface Addresses {
  readonly local: string
  readonly remote: string
}

/** The addresses of the connection that has this slot now. */
export function addressesOf(engine: Engine, slot: number): Addresses {
  const { localHost, localPort, remoteHost, remotePort } = engine.native.addresses(slot)
  return { local: textOf(localHost, localPort), remote: textOf(remoteHost, remotePort) }
}

/** Who was refused: the peer that the word `Peer` of a `Refused` event names. The program can have overwritten that word. */
export function refusedPeerOf(engine: Engine, place: number): { remoteAddress: string; peerId: string } {
  const peer = engine.native.refusedPeer(place)
  if (peer === undefined) return { remoteAddress: '', peerId: '' }
  return { remoteAddress: textOf(peer.remoteHost, peer.remotePort), peerId: peer.id }
}

function textOf(address: string, port: number): string {
  if (address === '' || pathOfHost(address) !== undefined) return address
  // An IPv4 address on a listener for both.
  const host = address.replace(/^::ffff:(?=\d+\.)/, '')
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
