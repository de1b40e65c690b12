// The server process: replays the prices to every subscriber and acknowledges every order.

import { type Peer, ZerioServer } from 'zerio'
import { Feed } from './feed.js'
import { childTask, leave, onCommand, runChild, tellParent } from './ipc.js'
import { Meter } from './meter.js'
import { drive, Pacer } from './pacer.js'
import { loadPrices } from './prices.js'
import { Reporter } from './reporter.js'
import { Subscriber } from './subscriber.js'
import { OrderChannel, TicksTopic } from './wire.js'

async function main(): Promise<void> {
  const { flags, name, port } = childTask()
  const prices = loadPrices()
  const meter = new Meter()
  const pacer = new Pacer(flags.ticksPerSecond)
  const subscribers: Subscriber[] = []
  const server = new ZerioServer({ host: '127.0.0.1', port }, { waitStrategy: flags.wait })
  const feed = new Feed(server, prices, meter)
  let head = 0
  let finishing = false

  server.on('clientConnected', (_id: string, peer: Peer) => {
    const subscriber = new Subscriber(peer, prices, meter, feed)
    peer.userData = subscriber
    subscribers.push(subscriber)
  })
  server.on('clientDisconnected', (id: string) => {
    const index = subscribers.findIndex((subscriber) => subscriber.peer.id === id)
    if (index >= 0) subscribers.splice(index, 1)
    if (finishing && subscribers.length === 0) void close()
  })

  server.onSubscribe = (peer, topic) => {
    if (topic !== TicksTopic) return false
    ;(peer.userData as Subscriber).begin()
    return true
  }

  const turn = () => {
    if (!finishing) {
      pacer.readClock()
      const due = pacer.due()
      pacer.take(due)
      head = (head + due) | 0
      feed.publish(head, pacer.nowNs, subscribers)
    }
    for (let i = 0; i < subscribers.length; i++) {
      if (finishing) subscribers[i].sendEnd()
      else subscribers[i].catchUp(pacer.nowNs)
    }
  }
  // An order is also an occasion to look at the clock, one that costs no timer.
  server.onMessage = (peer, buffer, offset, _length, channel) => {
    if (channel === OrderChannel) (peer.userData as Subscriber).acknowledge(buffer, offset)
    turn()
  }

  await server.start(name)
  const stopTurns = drive(flags.wait, server, turn)
  const reporter = new Reporter(meter)

  const close = async () => {
    stopTurns()
    await server.stop()
    leave({ kind: 'done', window: meter.result, integrity: null })
  }
  onCommand((command) => {
    if (command === 'measure') reporter.beginWindow()
    else if (command === 'drain') reporter.endWindow()
    else finishing = true
  })
  tellParent({ kind: 'ready', port: server.listeningPort })
}

runChild(main)
