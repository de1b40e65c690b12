// What both sides of `zerio bench` set alike.
import { setFlagsFromString } from 'node:v8'
import type { GcProbeOptions } from '../gc/probe.js'

/** A network that swallows everything ends the benchmark after four times this. */
export const heartbeatMs = 1000

/** Neither samples nor timers: nothing that could disturb what is measured. */
export const quietProbe: GcProbeOptions = { samplingBytes: 0, topAllocators: 0, loopResolutionMs: 0 }

/** V8 would collect some 8 s after the start, garbage or not, to give memory back to an idle machine. */
export function keepMemory(): void {
  setFlagsFromString('--no-memory-reducer')
}
