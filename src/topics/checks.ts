// What the methods of topics check of their arguments.
import { misuse } from '../errors.js'
import { describe } from '../options/options.js'
import { Peer } from '../peer.js'

export function checkPeer(peer: unknown): asserts peer is Peer {
  if (!(peer instanceof Peer))
    throw misuse('ZERIO_BAD_ARGUMENT', `A member of a topic is a Peer of the server, not ${describe(peer)}.`)
}
