// A client process: subscribes to the ticks, answers some with orders, and measures the round trip of each.

import { ZerioClient } from 'zerio'
import { keepPolling } from './internals.js'
import { childTask, leave, onCommand, runChild, tellParent } from './ipc.js'
import { Meter } from './meter.js'
import { Reporter } from './reporter.js'
import { Trader } from './trader.js'
import { TicksTopic } from './wire.js'

const drainCheckMs = 10

async function main(): Promise<void> {
  const { flags, name, port } = childTask()
  const meter = new Meter()
  const client = new ZerioClient({ host: '127.0.0.1', port }, { waitStrategy: flags.wait })
  const trader = new Trader(client, meter, flags.ordersPerSecond)
  let leaving = false

  client.onMessage = (buffer, offset, _length, channel) => {
    trader.receive(buffer, offset, channel)
    if (trader.hasEnded && !leaving) {
      leaving = true
      setImmediate(() => void close())
    }
  }
  client.on('disconnected', (reason) => {
    if (!leaving) throw new Error(`disconnected: ${JSON.stringify(reason)}`)
  })

  await client.start(name)
  const subscribed = client.subscribe(TicksTopic)
  // With the other strategies every tick is a turn.
  const stopPolling = flags.wait === 'manual' ? keepPolling(client) : () => {}
  await subscribed
  const reporter = new Reporter(meter)

  const drain = () => {
    reporter.endWindow()
    trader.stopOrders()
    const check = setInterval(() => {
      if (trader.ordersInFlight > 0) return
      clearInterval(check)
      tellParent({ kind: 'drained' })
    }, drainCheckMs)
  }
  const close = async () => {
    stopPolling()
    await client.stop()
    leave({ kind: 'done', window: meter.result, integrity: trader.integrity() })
  }
  onCommand((command) => {
    if (command === 'measure') reporter.beginWindow()
    else if (command === 'drain') drain()
  })
  tellParent({ kind: 'ready', port })
}

runChild(main)
