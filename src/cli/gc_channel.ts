// What a program under `zerio gc` tells the command: reports as lines of JSON, over a pipe of its own.
import type { GcReportData } from '../gc/report.js'

/** The environment variable with a {@link GcTask}; gone before the program sees its environment. */
export const taskVariable = 'ZERIO_GC_TASK'

/** The pipe's descriptor in the program's process. */
export const reportDescriptor = 3

export interface GcTask {
  /** The process that shall report: programs that it starts, and its workers, inherit what loads the reporter. */
  parentPid: number
  warmupMs: number
  /** 0: until the program ends. */
  measureMs: number
  topAllocators: number
}

export interface GcMessage {
  /** The last one is `timeUp` when the measured time is over, `final` when the program ends before. */
  kind: 'started' | 'live' | 'timeUp' | 'final'
  report: GcReportData
}
