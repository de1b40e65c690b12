// Many devices in one process, each with a connection of its own. A reading that finds no room is dropped: the next one is newer.
//
//     node examples/telemetry/devices.mjs [port] [devices] [readings]
import { setTimeout as pause } from 'node:timers/promises'
import { ZerioClient } from 'zerio'
import { METRIC, metrics, READING_BYTES, SEQUENCE, VALUE } from './messages.mjs'

const [port = '48654', deviceCount = '100', readingCount = '20'] = process.argv.slice(2)
const READING_MS = 20
const RETRY_MS = 500

class Device {
  sequence = 0
  dropped = 0
  #stopped = false

  constructor(number) {
    this.id = `device-${number}`
    // A small ring for each of many connections.
    this.client = new ZerioClient(
      { host: '127.0.0.1', port: Number(port) },
      { maxMessageLength: 1_024, sendRingBytes: 4_096 }
    )
    this.client.on('disconnected', (reason) => {
      if (!reason.local) this.connect()
    })
  }

  /** Tries until it is connected, not all devices at the same moment. */
  async connect() {
    while (!this.#stopped) {
      try {
        return await this.client.start(this.id)
      } catch {
        await pause(RETRY_MS * (1 + Math.random()))
      }
    }
  }

  stop() {
    this.#stopped = true
    return this.client.stop()
  }

  measure() {
    const { client } = this
    const metric = this.sequence % metrics.length
    const at = client.claim(READING_BYTES)
    if (at >= 0) {
      client.view.setUint32(at + SEQUENCE, this.sequence, true)
      client.view.setUint32(at + METRIC, metric, true)
      client.view.setFloat64(at + VALUE, metric === 0 ? 20 + Math.random() : 3.3 + Math.random() / 10, true)
      client.commit()
    } else {
      this.dropped++
    }
    this.sequence++
  }
}

const devices = Array.from({ length: Number(deviceCount) }, (_, number) => new Device(number))
await Promise.all(devices.map((device) => device.connect()))
console.log(`${devices.length} devices are connected`)
for (let i = 0; i < Number(readingCount); i++) {
  for (const device of devices) device.measure()
  await pause(READING_MS)
}
await Promise.all(devices.map((device) => device.stop()))
const sum = (field) => devices.reduce((total, device) => total + device[field], 0)
console.log(`${sum('sequence')} readings, ${sum('dropped')} dropped`)
