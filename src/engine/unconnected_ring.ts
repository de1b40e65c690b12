// The ring of who has no connection: it refuses everything with `NotConnected`, and wrong arguments as every other.
import { Header, Layout } from './layout.js'
import { poolBuffer } from './pool.js'
import { SendRing } from './send_ring.js'

export const unconnectedRing = makeUnconnectedRing()

function makeUnconnectedRing(): SendRing {
  const buffer = poolBuffer(new ArrayBuffer(0))
  const nothing = () => {}
  const options = { sendRingBytes: 0, maxMessageLength: Header.LengthMask }
  const native = { copy: nothing, sendStraight: () => 0 }
  const engine = { options, native, markDirty: nothing, flushOne: nothing, handOver: nothing }
  const words = new Int32Array(Layout.SlotBytes / 4)
  const memory = { buffer, view: buffer.view, bytes: buffer, words, slotsOffset: 0, ringsOffset: 0 }
  return new SendRing(engine, -1, { index: -1, first: -1, count: 1, ...memory })
}
