// Topics by chance, each course from its seed: what a member of a topic with the latest values sees of each key is a part of what was set,
// in order, and ends with the newest value, however it joins, lags, leaves and comes back; and what it is sent besides keeps its order.
import { createRequire } from 'node:module'
import test from 'ava'
import { SendStatus } from 'zerio'
import { randomFrom, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const require = createRequire(import.meta.url)
const { Conflation } = require('../../dist/topics/conflation.js')
const { MemberList, Memberships } = require('../../dist/topics/memberships.js')
const { Topics } = require('../../dist/topics/topics.js')
const { Peer } = require('../../dist/peer.js')

const options = {
  maxMessageLength: 1024,
  sendRingBytes: 8192,
  socketSendBytes: 4608,
  socketReceiveBytes: 2304,
  lingerMs: 100
}
const KEYS = 40
const CLIENTS = 4
const STEPS = 1500
/** On this channel the server sends what is in order; on channel 0 are values. */
const ORDERED = 1
const JOINED = 2

/** What one client has seen, and whether that can be. */
class Observer {
  /** By key: the number of the value that was seen last since it joined. */
  newest = new Map()
  seen = 0
  #ordered = 0
  #faults

  constructor(faults) {
    this.#faults = faults
  }

  see(buffer, offset, length, channel) {
    this.seen++
    if (channel === JOINED) return this.newest.clear()
    if (channel === ORDERED) {
      const number = buffer.readUInt32LE(offset)
      if (number <= this.#ordered) this.#faults.push(`${number} came behind ${this.#ordered}`)
      this.#ordered = number
      return
    }
    const key = buffer.readUInt32LE(offset)
    const number = buffer.readUInt32LE(offset + 4)
    const before = this.newest.get(key) ?? 0
    if (number <= before) this.#faults.push(`key ${key}: ${number} came behind ${before}`)
    if (length !== 8 + (number % 600)) this.#faults.push(`key ${key}: ${number} has ${length} bytes`)
    this.newest.set(key, number)
  }
}

class Course {
  faults = []
  clients = []
  /** By key: the number of its newest value. */
  values = new Map()
  #number = 0
  #bytes = Buffer.alloc(1000)

  constructor(t, random, server) {
    this.t = t
    this.random = random
    this.server = server
    this.latest = server.topic('latest', { slow: 'latest', keysMax: KEYS, valueBytesMax: 700 })
    this.events = server.topic('events')
  }

  async connect(id) {
    const observer = new Observer(this.faults)
    const client = await startClient(this.t, this.server, id, options, (one) => {
      one.onMessage = (buffer, offset, length, channel) => observer.see(buffer, offset, length, channel)
    })
    const peer = await until(() => this.server.peer(id))
    this.events.add(peer)
    return { id, client, peer, observer }
  }

  step() {
    const { random, latest, events } = this
    const one = this.clients[random(this.clients.length)]
    const number = ++this.#number
    this.#bytes.writeUInt32LE(number)
    switch (random(16)) {
      case 0:
        one.client.isPaused ? one.client.resume() : one.client.pause()
        return
      case 1:
        latest.delete(one.peer)
        return
      case 2:
      case 3:
        if (latest.has(one.peer) || one.peer.send(this.#bytes, 0, 4, JOINED) !== SendStatus.Sent) return
        latest.add(one.peer)
        return
      case 4:
      case 5:
        one.peer.send(this.#bytes, 0, 4 + random(500), ORDERED)
        return
      case 6:
      case 7:
        events.publish(this.#bytes, 0, 4 + random(500), ORDERED)
        return
      case 8:
        events.claim(4, ORDERED)
        events.view.setUint32(0, number, true)
        events.commit()
        return
      default: {
        const key = random(2) === 0 ? random(4) : random(KEYS)
        latest.set(key, this.#bytes, 0, 4 + (number % 600))
        this.values.set(key, number)
      }
    }
  }

  /** Whether each member has the newest value of each key. */
  isCurrent() {
    const members = this.clients.filter(({ peer }) => this.latest.has(peer))
    return members.every(({ observer }) =>
      [...this.values].every(([key, number]) => observer.newest.get(key) === number)
    )
  }
}

for (let seed = 1; seed <= 12; seed++) {
  test.serial(
    `seed ${seed}: each member ends with the newest value of each key, and saw no older one later`,
    async (t) => {
      const random = randomFrom(seed)
      const server = await startServer(t, options)
      const course = new Course(t, random, server)
      for (let i = 0; i < CLIENTS; i++) course.clients.push(await course.connect(`client ${i}`))
      for (let i = 0; i < STEPS; i++) {
        course.step()
        if (random(8) === 0) await new Promise(setImmediate)
        if (random(300) === 0) {
          // One leaves, with whatever it lacks, and another one comes.
          const at = random(CLIENTS)
          course.clients[at].client.terminate()
          course.clients[at] = await course.connect(`client ${at} at ${i}`)
        }
      }
      for (const { client } of course.clients) client.resume()
      await until(() => course.isCurrent() || course.faults.length > 0, `the newest values, seed ${seed}`)
      t.deepEqual(course.faults, [])
      const { conflated, skipped, delivered } = course.latest.counters
      t.true(conflated > 0, 'a member lagged')
      t.is(skipped, 0)
      t.true(delivered > 100)
      t.true(course.events.counters.skipped > 0)
    }
  )
}

test('memberships are those of a table of all pairs, whatever is added and removed', (t) => {
  const random = randomFrom(1)
  const memberships = new Memberships()
  const lists = Array.from({ length: 30 }, () => new MemberList())
  const peers = Array.from({ length: 60 }, () => ({ _place: -1 }))
  const model = new Set()
  for (let i = 0; i < 60_000; i++) {
    const topic = random(lists.length)
    const peer = peers[random(peers.length)]
    if (random(500) === 0 && peer._place >= 0) {
      for (let row = memberships.firstOf(peer._place); row >= 0; row = memberships.firstOf(peer._place))
        memberships.remove(row, lists[memberships.topicOf(row)])
      memberships.forget(peer)
      for (let one = 0; one < lists.length; one++) model.delete(`${peers.indexOf(peer)} ${one}`)
      continue
    }
    const place = memberships.placeFor(peer)
    const name = `${peers.indexOf(peer)} ${topic}`
    const row = memberships.find(place, topic)
    if (row >= 0 !== model.has(name)) return t.fail(`${name} at step ${i}`)
    if (row >= 0) {
      memberships.remove(row, lists[topic])
      model.delete(name)
    } else {
      memberships.add(place, topic, lists[topic])
      model.add(name)
    }
  }
  const found = new Set()
  for (const [topic, { rows, count }] of lists.entries())
    for (let i = 0; i < count; i++) {
      t.is(memberships.positionOf(rows[i]), i)
      found.add(`${peers.indexOf(memberships.peers[memberships.placeOf[rows[i]]])} ${topic}`)
    }
  t.deepEqual([...found].sort(), [...model].sort())
  for (const [index, peer] of peers.entries()) {
    let count = 0
    if (peer._place >= 0)
      for (let row = memberships.firstOf(peer._place); row >= 0; row = memberships.nextOf(row)) count++
    t.is(count, [...model].filter((name) => name.startsWith(`${index} `)).length)
  }
})

test('what a member lacks is that of a table of all members and keys, whatever is set, sent and left', (t) => {
  const random = randomFrom(7)
  const [None, AwaitsDrain] = [0, 1]
  const keys = 70
  const conflation = new Conflation(keys, 4)
  const bytes = Buffer.alloc(4)
  let room = 0
  let sent = []
  const ring = {
    sendPart(block, at) {
      if (room === 0) return SendStatus.BackPressured
      room--
      sent.push(block.readUInt32LE(at))
      return SendStatus.Sent
    }
  }
  const present = new Set()
  /** By position: what each member lacks, and how many values it will not get. */
  const lacks = []
  let owed = 0
  let counted = 0
  const settle = (position) => {
    counted += conflation.settle(position)
  }
  const catchUp = (position) => {
    sent = []
    room = random(20)
    settle(position)
    conflation.catchUp(position, ring)
    for (const key of sent) if (!lacks[position].delete(key)) t.fail(`key ${key} is sent again`)
    if ((conflation.lagAt(position) === None) !== (lacks[position].size === 0)) t.fail('it lags wrongly')
  }
  for (let step = 0; step < 40_000; step++) {
    const position = random(lacks.length)
    const what = random(100)
    if (what < 80) {
      const key = random(random(keys) + 1)
      conflation.keep(key, bytes, 0, 4)
      present.add(key)
      for (const [at, lacked] of lacks.entries()) {
        if (conflation.lagAt(at) === None) {
          if (random(200) > 0) continue
          conflation.begin(at, AwaitsDrain)
        } else if (lacked.has(key)) owed++
        lacked.add(key)
      }
    } else if (what < 82 && lacks.length < 30) {
      conflation.reserve(lacks.length)
      conflation.joined(lacks.length)
      lacks.push(new Set(present))
      catchUp(lacks.length - 1)
    } else if (what === 82 && lacks.length > 0) {
      settle(position)
      const last = lacks.pop()
      conflation.departed(position, lacks.length)
      if (position < lacks.length) lacks[position] = last
    } else if (what < 90 && lacks.length > 0) {
      if (conflation.lagAt(position) !== None) catchUp(position)
    } else if (what === 99) {
      for (const at of lacks.keys()) settle(at)
      if (counted !== owed) return t.fail(`${counted} instead of ${owed} at step ${step}`)
    }
    const waiting = lacks.filter((_, at) => conflation.lagAt(at) === AwaitsDrain).length
    if (waiting !== conflation.waiting)
      return t.fail(`${conflation.waiting} wait, not ${waiting}, at step ${step}`)
  }
  t.true(owed > 10_000 && lacks.length > 10)
})

/** Peers of a server without connections, whose rings take everything. */
function crowd(count) {
  const ring = { status: SendStatus.Sent, sendAll: () => SendStatus.Sent, sendPart: () => SendStatus.Sent }
  return Array.from({ length: count }, (_, index) =>
    Object.defineProperties(Object.create(Peer.prototype), {
      _ring: { value: ring },
      _index: { value: index },
      _place: { value: -1, writable: true }
    })
  )
}

test('a topic of 50,000 members, and their leaving, take no time that grows with the square', (t) => {
  const topics = new Topics(65_536, () => true)
  const peers = crowd(50_000)
  const kinds = ['skip', 'close', 'latest'].map((slow) => topics.topic(slow, { slow }))
  const begun = performance.now()
  for (const topic of kinds) for (const peer of peers) topic.add(peer)
  for (const topic of kinds.slice(0, 2)) t.is(topic.publish(Buffer.from('to all')), 50_000)
  t.is(kinds[2].set(1, Buffer.from('to all')), 50_000)
  for (const peer of peers) if (peer._index % 2 === 0) topics.left(peer)
  for (const topic of kinds) t.is(topic.size, 25_000)
  t.true(kinds.every((topic) => topic.has(peers[1]) && !topic.has(peers[2])))
  topics.closeAll()
  for (const peer of peers) topics.left(peer)
  t.true(peers.every((peer) => peer._place === -1))
  // Many times what it takes.
  t.true(performance.now() - begun < 5000)
})

test('a thousand peers in a thousand topics leave in a time of their own memberships', (t) => {
  const topics = new Topics(65_536, () => true)
  const peers = crowd(1000)
  const all = Array.from({ length: 1000 }, (_, i) => topics.topic(`topic ${i}`))
  const begun = performance.now()
  for (const topic of all) for (const peer of peers) topic.add(peer)
  for (const peer of peers) topics.left(peer)
  t.true(all.every((topic) => topic.size === 0))
  t.true(performance.now() - begun < 10_000)
})
