// Sends a process's measurements to the parent: every second, and the rest when the window ends.

import { tellParent } from './ipc.js'
import type { Meter } from './meter.js'

const everyMs = 1000
/** A shorter rest would be a line of its own that says little. */
const shortestMs = everyMs / 2

export class Reporter {
  private readonly timer = setInterval(() => this.report(), everyMs)

  constructor(private readonly meter: Meter) {}

  beginWindow(): void {
    this.meter.beginWindow()
    this.timer.refresh()
  }

  endWindow(): void {
    clearInterval(this.timer)
    if (this.meter.secondMs >= shortestMs) this.report()
    this.meter.endWindow()
  }

  private report(): void {
    this.meter.report((second, window) => tellParent({ kind: 'report', second, window }))
  }
}
