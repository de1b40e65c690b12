// What all threads of all processes of a program found, in one report.
import type { GcAllocator, GcEventLoop, GcPauses, GcReportData } from '../gc/report.js'
import { alignedTable, bytesText, countText, durationText } from '../gc/text.js'
import type { GcState } from './gc_channel.js'
import { Histogram } from './histogram.js'

/** One thread. */
export interface GcPart extends GcReportData {
  pid: number
  parentPid: number
  /** 0 for the main thread of a process. */
  threadId: number
  name: string
  /** Whether it reported its end; otherwise what came after its last report is missing. */
  complete: boolean
}

/** All of them together. */
export interface GcTotal extends GcReportData {
  complete: boolean
  /** In the order of their starts. */
  parts: GcPart[]
}

/** `undefined` when no thread has begun. */
export function totalOf(given: readonly GcState[], topAllocators: number): GcTotal | undefined {
  if (given.length === 0) return undefined
  const states = [...given].sort((a, b) => a.startedAtMs - b.startedAtMs || a.threadId - b.threadId)
  const reports = states.map(({ report }) => report)
  const sum = (of: (report: GcReportData) => number): number =>
    reports.reduce((all, report) => all + of(report), 0)
  const [first] = states
  const endedAtMs = Math.max(...states.map(({ startedAtMs, report }) => startedAtMs + report.elapsedMs))
  return {
    elapsedMs: states.length === 1 ? first.report.elapsedMs : endedAtMs - first.startedAtMs,
    operations: 0,
    nsPerOperation: null,
    heapBytes: sum(({ heapBytes }) => heapBytes),
    heapBytesPerOperation: null,
    externalBytes: reports.every(({ externalBytes }) => externalBytes === null)
      ? null
      : sum(({ externalBytes }) => externalBytes ?? 0),
    externalBytesPerOperation: null,
    generations: {
      youngBytes: sum(({ generations }) => generations.youngBytes),
      oldBytes: sum(({ generations }) => generations.oldBytes),
      promotedBytes: sum(({ generations }) => generations.promotedBytes)
    },
    collections: {
      total: sum(({ collections }) => collections.total),
      minor: sum(({ collections }) => collections.minor),
      major: sum(({ collections }) => collections.major),
      incrementalMarking: sum(({ collections }) => collections.incrementalMarking),
      other: sum(({ collections }) => collections.other)
    },
    pauses: states.length === 1 ? first.report.pauses : pausesOf(states),
    eventLoop: worstLoop(reports),
    topAllocators: mergedAllocators(reports, topAllocators),
    overheadBytes: sum(({ overheadBytes }) => overheadBytes),
    notes: [...new Set(reports.flatMap(({ notes }) => notes))],
    complete: states.every(isComplete),
    parts: states.map(({ pid, parentPid, threadId, name, report, kind }) => ({
      pid,
      parentPid,
      threadId,
      name,
      complete: isComplete({ kind }),
      ...report
    }))
  }
}

export function isComplete({ kind }: Pick<GcState, 'kind'>): boolean {
  return kind === 'final' || kind === 'timeUp'
}

/** Their share is that of the time of all threads. */
function pausesOf(states: readonly GcState[]): GcPauses {
  const histogram = new Histogram()
  for (const { pauses } of states) histogram.addEntries(pauses)
  const all = states.map(({ report }) => report)
  const totalMs = all.reduce((sum, { pauses }) => sum + pauses.totalMs, 0)
  const elapsedMs = all.reduce((sum, report) => sum + report.elapsedMs, 0)
  const maxUs = Math.max(...all.map(({ pauses }) => pauses.maxUs))
  const quantileUs = (fraction: number): number =>
    histogram.count === 0 ? 0 : Math.min(maxUs, histogram.quantile(fraction))
  return {
    count: histogram.count,
    totalMs,
    share: totalMs / elapsedMs,
    meanUs: histogram.count === 0 ? 0 : (totalMs * 1000) / histogram.count,
    p50Us: quantileUs(0.5),
    p90Us: quantileUs(0.9),
    p99Us: quantileUs(0.99),
    p999Us: quantileUs(0.999),
    maxUs
  }
}

/** Delays of several loops have no sum: those of the loop with the longest ones are shown. */
function worstLoop(reports: readonly GcReportData[]): GcEventLoop {
  return reports
    .map(({ eventLoop }) => eventLoop)
    .reduce((worst, loop) => (loop.p99Ms > worst.p99Ms ? loop : worst))
}

function mergedAllocators(reports: readonly GcReportData[], count: number): GcAllocator[] {
  const merged = new Map<string, GcAllocator>()
  let sampledBytes = 0
  for (const { topAllocators } of reports) {
    // A share is that of all samples of the thread, also of those of functions that it does not name.
    if (topAllocators.length > 0) sampledBytes += topAllocators[0].bytes / topAllocators[0].share
    for (const allocator of topAllocators) {
      const { functionName, url, line, column } = allocator
      const place = `${functionName} ${url}:${line}:${column}`
      const known = merged.get(place)
      if (known === undefined) merged.set(place, { ...allocator })
      else known.bytes += allocator.bytes
    }
  }
  return [...merged.values()]
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, count)
    .map((allocator) => ({ ...allocator, share: allocator.bytes / sampledBytes }))
}

const rowsMax = 20

/** The table of threads, where there are several. */
export function partsText(parts: readonly GcPart[]): string {
  const shown = [...parts].sort((a, b) => b.heapBytes - a.heapBytes).slice(0, rowsMax)
  const rows = shown.map((part) => [
    `  ${bytesText(part.heapBytes)}`,
    bytesText(part.externalBytes ?? 0),
    `${countText(part.collections.minor)} minor`,
    `${countText(part.collections.major)} major`,
    `paused ${durationText(part.pauses.totalMs)}`,
    `${part.pid} ${part.name}${part.complete ? '' : ' (incomplete)'}`
  ])
  const more = parts.length - shown.length
  return [
    `heap and external of ${countText(parts.length)} threads`,
    ...alignedTable(rows),
    ...(more > 0 ? [`  and ${countText(more)} more`] : [])
  ].join('\n')
}
