// A ring at the end of the process: each message is handed over when it is sent, because no end of the turn will come.
import { type SendStatus, Status } from '../status.js'
import { SendRing } from './send_ring.js'

/** Makes a ring one. */
export function sendAtOnce(ring: SendRing): void {
  Object.setPrototypeOf(ring, ExitingRing.prototype)
}

class ExitingRing extends SendRing {
  override sendAll(bytes: Uint8Array, channel: number): SendStatus {
    const status = super.sendAll(bytes, channel)
    if (status === Status.Sent) this.handOver()
    return status
  }

  override sendPart(bytes: Uint8Array, offset: number, length: number, channel: number): SendStatus {
    const status = super.sendPart(bytes, offset, length, channel)
    if (status === Status.Sent) this.handOver()
    return status
  }

  override commit(): SendStatus {
    const status = super.commit()
    if (status === Status.Sent) this.handOver()
    return status
  }
}
