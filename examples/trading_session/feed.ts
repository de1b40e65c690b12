// The ticks: one topic, whose members get each tick by one message that is written once.

import type { Topic, ZerioServer } from 'zerio'
import { type Meter, Sent } from './meter.js'
import type { PriceSeries } from './prices.js'
import type { Subscriber } from './subscriber.js'
import * as wire from './wire.js'

/** So many ticks at most between two looks at who is slow: fewer bytes than a send ring has room for besides. */
const ticksPerLook = 1000
const pendingBytesMax = 65_536

export class Feed {
  /** The sequence number of the next tick. */
  next = 0
  private readonly topic: Topic

  constructor(
    server: ZerioServer,
    private readonly prices: PriceSeries,
    private readonly meter: Meter
  ) {
    this.topic = server.topic(wire.TicksTopic)
  }

  join(subscriber: Subscriber): void {
    this.topic.add(subscriber.peer)
  }

  leave(subscriber: Subscriber): void {
    this.topic.delete(subscriber.peer)
  }

  has(subscriber: Subscriber): boolean {
    return this.topic.has(subscriber.peer)
  }

  /** Publishes the ticks up to (not including) sequence number `head`. Members that are slow leave the topic before they miss one. */
  publish(head: number, nowNs: Float64Array, subscribers: readonly Subscriber[]): void {
    while (this.next !== head) {
      for (let i = 0; i < subscribers.length; i++)
        if (subscribers[i].peer.pendingBytes > pendingBytesMax) subscribers[i].fallBehind()
      const end = Math.min(head, this.next + ticksPerLook)
      for (; this.next !== end; this.next = (this.next + 1) | 0) {
        const at = this.topic.claim(wire.TickBytes, wire.TickChannel)
        wire.writeTick(this.topic.view, at, this.prices, this.next, nowNs)
        this.meter.counts[Sent] += this.topic.commit()
      }
    }
    if (this.topic.counters.skipped > 0) throw new Error('a member of the topic missed a tick')
  }
}
