// Which members of a topic are sent from one copy: those to which nothing else is being sent (src/engine/audience.ts).
import { Audience, type AudienceEngine } from '../engine/audience.js'
import type { SendRing } from '../engine/send_ring.js'
import type { Peer } from '../peer.js'
import type { Memberships } from './memberships.js'

/** One copy for fewer members costs more than it saves. */
const MEMBERS_MIN = 4

export class Sharing {
  readonly #memberships: Memberships
  readonly #engine: () => AudienceEngine | undefined
  readonly #bytesMax: number
  #audience: Audience | undefined

  /** @param bytesMax how many bytes may wait for a member; 0 for as many as the engine lets. */
  constructor(memberships: Memberships, engine: () => AudienceEngine | undefined, bytesMax: number) {
    this.#memberships = memberships
    this.#engine = engine
    this.#bytesMax = bytesMax
  }

  /** There are so many members now. Where there is no memory for more, these use their rings. */
  reserve(members: number): void {
    if (members < MEMBERS_MIN) return
    const engine = this.#engine()
    if (this.#audience === undefined && engine !== undefined)
      this.#audience = new Audience(engine, this.#bytesMax, (row) => {
        this.#memberships.sharedOf[row] = 0
      })
    try {
      this.#audience?.reserve(members)
    } catch {
      // It has the room that it had.
    }
  }

  /** Who of so many members gets such a message from one copy; undefined when it goes through the rings alone. */
  audienceFor(members: number, length: number, channel: number): Audience | undefined {
    if (members < MEMBERS_MIN || this.#engine() === undefined) return undefined
    return this.#audience?.canTake(length, channel) === true ? this.#audience : undefined
  }

  /** Makes a member one of the audience. Returns false when that cannot be now. */
  join(audience: Audience, ring: SendRing, row: number): boolean {
    if (!audience.join(ring, row)) return false
    this.#memberships.sharedOf[row] = 1
    return true
  }

  /** A member goes, or does not get the next message. */
  takeOut(row: number): void {
    const { sharedOf, placeOf, peers } = this.#memberships
    if (row >= 0 && sharedOf[row] !== 0) (peers[placeOf[row]] as Peer)._ring.leaveAudience()
  }
}
