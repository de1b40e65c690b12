// What the methods of topics check of their arguments.
import { misuse } from '../errors.js'
import { describe } from '../options/options.js'
import { Peer } from '../peer.js'

export function checkPeer(peer: unknown): asserts peer is Peer {
  if (!(peer instanceof Peer))
    throw misuse('ZERIO_BAD_ARGUMENT', `A member of a topic is a Peer of the server, not ${describe(peer)}.`)
}

/** Whether it is an integer from 0 on. BigInts and symbols throw, and cost nothing that way. */
export function isCount(value: number): boolean {
  try {
    return value >>> 0 === value
  } catch {
    return false
  }
}
