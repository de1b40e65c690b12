// What programs under `zerio gc` write and the command reads: one small file for each thread, in a folder of the command's own.
//
// A file that is replaced whole holds what was known last, whatever ends the thread; and it takes nothing that belongs to the program:
// neither a descriptor nor a channel nor an argument.
import { join } from 'node:path'
import type { GcReportData } from '../gc/report.js'

export interface GcTask {
  /** The command. A program whose parent it is ends with it. */
  commandPid: number
  warmupMs: number
  /** 0: until the program ends. */
  measureMs: number
  topAllocators: number
  /** Whether a time line and stacks are wanted, too. */
  isDetailed: boolean
}

/** What happened in a thread between the point before and this one. */
export interface GcPoint {
  /** Since the thread began to report. */
  atMs: number
  /** The size of the heap at this moment. */
  heapSizeBytes: number
  /** The size of the memory outside of the heap at this moment. */
  externalSizeBytes: number
  allocatedBytes: number
  minor: number
  major: number
  pausedMs: number
  longestPauseMs: number
}

/** What one thread has found so far. */
export interface GcState {
  /** The last one is `timeUp` when the measured time is over, `final` when the thread ends before. */
  kind: 'started' | 'live' | 'timeUp' | 'final'
  pid: number
  parentPid: number
  /** 0 for the main thread. */
  threadId: number
  name: string
  startedAtMs: number
  writtenAtMs: number
  /** Signals of which the program itself decides what they mean, as far as that is known. */
  handledSignals: string[]
  /** Whether a signal that would end the program has been seen. */
  wasSignalled: boolean
  report: GcReportData
  /** All pauses in microseconds, as buckets of a histogram and how many are in each. */
  pauses: [bucket: number, count: number][]
  /** Empty unless the task is detailed. */
  timeline: GcPoint[]
}

/** Flags of Node.js that make programs report into the folder. Two kinds of quotes are needed where paths have blanks. */
export function preloadOption(folder: string): string {
  return `--require ${quoted(preloadFile(folder))}`
}

/** A value as NODE_OPTIONS has it. */
export function quoted(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

export const preloadFile = (folder: string): string => join(folder, 'preload.cjs')
export const taskFile = (folder: string): string => join(folder, 'task.json')
/** Holds the time at which the first program began. */
export const beginningFile = (folder: string): string => join(folder, 'beginning')
export const stateFile = (folder: string, pid: number, threadId: number): string =>
  join(folder, `${pid}-${threadId}.state`)
/** The stacks of a thread, which come at its end. */
export const profileFile = (folder: string, pid: number, threadId: number): string =>
  join(folder, `${pid}-${threadId}.profile`)
export const isStateFile = (name: string): boolean => name.endsWith('.state')
