// Which peer is in which topic: columns of numbers. A membership is a row of them. It is found by peer and topic in a hash table, from its
// topic by its position there, and from its peer by a list; so joining, leaving and asking take the same time however many there are.
import { grown } from '../engine/columns.js'
import type { Peer } from '../peer.js'

const NONE = -1
const ROWS_FIRST = 64

/** The members of one topic, in no order. */
export class MemberList {
  /** The memberships: the first `count` numbers. */
  rows = new Int32Array(4)
  count = 0
}

export class Memberships {
  /** The peers that are or were in a topic, by their places. */
  readonly peers: (Peer | undefined)[] = []
  /** By membership: the peer's place. */
  placeOf = new Int32Array(ROWS_FIRST)
  /** By place: how many of the peer's memberships lag behind. The topics count. */
  lagsOf = new Int32Array(ROWS_FIRST)
  /** By membership: whether the peer is sent from the topic's copy. The topics say so. */
  sharedOf = new Uint8Array(ROWS_FIRST)
  // By membership: the topic's number, the position in its list, and the other memberships of the same peer.
  #topicOf = new Int32Array(ROWS_FIRST)
  #positionOf = new Int32Array(ROWS_FIRST)
  #next = new Int32Array(ROWS_FIRST)
  #previous = new Int32Array(ROWS_FIRST)
  /** The first of the unused memberships, which `#next` links. */
  #free = NONE
  #rows = 0
  #used = 0
  /** By place: the peer's first membership. */
  #first = new Int32Array(ROWS_FIRST)
  /** By place: the membership that has the peer's next room first. */
  #begin = new Int32Array(ROWS_FIRST)
  readonly #freePlaces: number[] = []
  /** Memberships plus 1 by the hash of peer and topic; 0 is an empty place. At least twice as many places as memberships. */
  #table = new Int32Array(2 * ROWS_FIRST)

  /** The membership of a peer in a topic, or -1. */
  find(place: number, topic: number): number {
    if (place < 0) return NONE
    const table = this.#table
    const mask = table.length - 1
    for (let at = hash(place, topic) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const row = table[at] - 1
      if (this.placeOf[row] === place && this.#topicOf[row] === topic) return row
    }
    return NONE
  }

  /** The place of a peer, which keeps it until `forget`. */
  placeFor(peer: Peer): number {
    if (peer._place >= 0) return peer._place
    const place = this.#freePlaces.pop() ?? this.peers.length
    if (place === this.#first.length) {
      this.#first = grown(this.#first, 2 * place)
      this.#begin = grown(this.#begin, 2 * place)
      this.lagsOf = grown(this.lagsOf, 2 * place)
    }
    this.peers[place] = peer
    this.#first[place] = this.#begin[place] = NONE
    this.lagsOf[place] = 0
    peer._place = place
    return place
  }

  /** A peer that is in no topic any more leaves its place to others. */
  forget(peer: Peer): void {
    this.peers[peer._place] = undefined
    this.#freePlaces.push(peer._place)
    peer._place = NONE
  }

  /** One more membership, which `find` has not found. It is the last of the list. */
  add(place: number, topic: number, list: MemberList): void {
    const row = this.#takeRow()
    if (list.count === list.rows.length) list.rows = grown(list.rows, 2 * list.count)
    this.placeOf[row] = place
    this.sharedOf[row] = 0
    this.#topicOf[row] = topic
    this.#positionOf[row] = list.count
    list.rows[list.count++] = row
    const first = this.#first[place]
    this.#next[row] = first
    this.#previous[row] = NONE
    if (first !== NONE) this.#previous[first] = row
    else this.#begin[place] = row
    this.#first[place] = row
    if (2 * ++this.#used > this.#table.length) this.#rehash()
    else this.#enter(row)
  }

  /** Ends a membership. The last one of the list takes its position, which is returned. */
  remove(row: number, list: MemberList): number {
    this.#erase(row)
    const place = this.placeOf[row]
    const next = this.#next[row]
    const previous = this.#previous[row]
    if (next !== NONE) this.#previous[next] = previous
    if (previous !== NONE) this.#next[previous] = next
    else this.#first[place] = next
    if (this.#begin[place] === row) this.#begin[place] = next !== NONE ? next : this.#first[place]
    const position = this.#positionOf[row]
    const last = list.rows[--list.count]
    list.rows[position] = last
    this.#positionOf[last] = position
    this.#topicOf[row] = NONE
    this.#next[row] = this.#free
    this.#free = row
    this.#used--
    return position
  }

  /** The first membership of a peer, or -1; `nextOf` leads on. */
  firstOf(place: number): number {
    return this.#first[place]
  }

  /** The membership that has the peer's next room first, or -1. */
  beginOf(place: number): number {
    return this.#begin[place]
  }

  setBegin(place: number, row: number): void {
    this.#begin[place] = row
  }

  nextOf(row: number): number {
    return this.#next[row]
  }

  topicOf(row: number): number {
    return this.#topicOf[row]
  }

  positionOf(row: number): number {
    return this.#positionOf[row]
  }

  #takeRow(): number {
    const row = this.#free
    if (row !== NONE) {
      this.#free = this.#next[row]
      return row
    }
    if (this.#rows === this.placeOf.length) {
      const length = 2 * this.#rows
      this.placeOf = grown(this.placeOf, length)
      this.sharedOf = grown(this.sharedOf, length)
      this.#topicOf = grown(this.#topicOf, length)
      this.#positionOf = grown(this.#positionOf, length)
      this.#next = grown(this.#next, length)
      this.#previous = grown(this.#previous, length)
    }
    return this.#rows++
  }

  #enter(row: number): void {
    const table = this.#table
    const mask = table.length - 1
    let at = hash(this.placeOf[row], this.#topicOf[row]) & mask
    while (table[at] !== 0) at = (at + 1) & mask
    table[at] = row + 1
  }

  /** Takes a membership out of the table. Those behind it move up, so that no place is lost. */
  #erase(row: number): void {
    const table = this.#table
    const mask = table.length - 1
    let hole = hash(this.placeOf[row], this.#topicOf[row]) & mask
    while (table[hole] !== row + 1) hole = (hole + 1) & mask
    for (let at = (hole + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const other = table[at] - 1
      const home = hash(this.placeOf[other], this.#topicOf[other]) & mask
      // Whether its home is not behind the hole, on the way round.
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      table[hole] = table[at]
      hole = at
    }
    table[hole] = 0
  }

  #rehash(): void {
    this.#table = new Int32Array(2 * this.#table.length)
    for (let row = 0; row < this.#rows; row++) if (this.#topicOf[row] !== NONE) this.#enter(row)
  }
}

function hash(place: number, topic: number): number {
  let mixed = Math.imul(place, 0x9e3779b1) ^ Math.imul(topic, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
  return (mixed ^ (mixed >>> 13)) >>> 0
}
