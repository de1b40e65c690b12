// What a topic needs of its server.
import type { AudienceEngine } from '../engine/audience.js'
import type { Peer } from '../peer.js'
import type { Memberships } from './memberships.js'

export interface TopicOwner {
  readonly memberships: Memberships
  readonly messageLengthMax: number
  /** Whether a peer is connected to this server. */
  has(peer: Peer): boolean
  /** The engine of the server's connections, when it can send many of them from one copy. */
  readonly sharing: () => AudienceEngine | undefined
  closed(topic: { readonly name: string; readonly _number: number }): void
}
