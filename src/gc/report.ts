// What a probe found: an object whose fields are plain data, as JSON.stringify writes them, and which prints as a table.
import type { RecordableHistogram } from 'node:perf_hooks'
import type { Allocator } from './allocation_tree.js'
import type { GcProfile } from './profile.js'
import {
  alignedTable,
  bytesText,
  countText,
  durationText,
  functionText,
  percentText,
  placeText
} from './text.js'

/** A function and what it allocated itself, estimated from samples. */
export interface GcAllocator extends Allocator {
  /** Part of all that was sampled, 0 to 1. */
  share: number
}

/** Where on the V8 heap the bytes were allocated. */
export interface GcGenerations {
  /** In the young generation, where nearly all objects begin and minor collections are. */
  youngBytes: number
  /** In the old generation: large objects, code, and what V8 expects to live long. With `youngBytes` it is `heapBytes`. */
  oldBytes: number
  /** What survived two minor collections or so, and was moved from the young to the old generation. */
  promotedBytes: number
}

/** Collections by kind. */
export interface GcCollections {
  /** Minor and major ones. */
  total: number
  /** Of the young generation. */
  minor: number
  /** Of the whole heap. */
  major: number
  /** Starts of incremental marking, the first step of most major collections: pauses, but no collections. */
  incrementalMarking: number
  /** Whatever else V8 reports, such as calls of weak callbacks. */
  other: number
}

/** How long V8 held the program for each collection or step of one. All are 0 when there was none. */
export interface GcPauses {
  /** How many there were. */
  count: number
  /** All of them together. */
  totalMs: number
  /** Part of the elapsed time, 0 to 1. */
  share: number
  /** The mean. */
  meanUs: number
  /** The median. */
  p50Us: number
  /** One in ten was longer. */
  p90Us: number
  /** One in a hundred was longer. */
  p99Us: number
  /** One in a thousand was longer. */
  p999Us: number
  /** The longest. */
  maxUs: number
}

/** How late a timer came, and which part of the time the event loop was at work. */
export interface GcEventLoop {
  /** 0 when the program never returned to the loop; then there are no delays. */
  samples: number
  /** The mean. */
  meanMs: number
  /** The median. */
  p50Ms: number
  /** One in a hundred was later. */
  p99Ms: number
  /** The latest. */
  maxMs: number
  /** 0 to 1. */
  utilization: number
}

/** The data of a {@link GcReport}, and its JSON. */
export interface GcReportData {
  /** The measured time. */
  elapsedMs: number
  /** As counted by `operation()`. */
  operations: number
  /** Time for one operation, in nanoseconds: of the calls alone in `measure`, otherwise of all measured time; `null` without operations. */
  nsPerOperation: number | null
  /** Bytes allocated on the V8 heap, collected or not, without the probe's own. */
  heapBytes: number
  /** `null` without operations. */
  heapBytesPerOperation: number | null
  /** Bytes allocated outside of the heap: the memory of Buffers and ArrayBuffers. `null` when not asked for. */
  externalBytes: number | null
  /** `null` without operations, or when not asked for. */
  externalBytesPerOperation: number | null
  /** `heapBytes` by generation. */
  generations: GcGenerations
  /** How often V8 collected. */
  collections: GcCollections
  /** How long it held the program. */
  pauses: GcPauses
  /** How late timers came. */
  eventLoop: GcEventLoop
  /** Most first. */
  topAllocators: GcAllocator[]
  /** What the probe itself allocated in the measured time; it is subtracted above. */
  overheadBytes: number
  /** What the figures lack, and why: sentences for people. Empty for a complete report. */
  notes: string[]
}

/** What a probe found. `String(report)` is a table for people, `JSON.stringify(report)` its {@link GcReportData}. */
export class GcReport implements GcReportData {
  readonly elapsedMs: number
  readonly operations: number
  readonly nsPerOperation: number | null
  readonly heapBytes: number
  readonly heapBytesPerOperation: number | null
  readonly externalBytes: number | null
  readonly externalBytesPerOperation: number | null
  readonly generations: GcGenerations
  readonly collections: GcCollections
  readonly pauses: GcPauses
  readonly eventLoop: GcEventLoop
  readonly topAllocators: GcAllocator[]
  readonly overheadBytes: number
  readonly notes: string[]
  readonly #pauseHistogram: RecordableHistogram
  readonly #makeProfile: () => GcProfile | undefined
  #profile: GcProfile | undefined

  /** @internal */
  constructor(
    data: GcReportData,
    pauseHistogram: RecordableHistogram,
    makeProfile: () => GcProfile | undefined
  ) {
    this.elapsedMs = data.elapsedMs
    this.operations = data.operations
    this.nsPerOperation = data.nsPerOperation
    this.heapBytes = data.heapBytes
    this.heapBytesPerOperation = data.heapBytesPerOperation
    this.externalBytes = data.externalBytes
    this.externalBytesPerOperation = data.externalBytesPerOperation
    this.generations = data.generations
    this.collections = data.collections
    this.pauses = data.pauses
    this.eventLoop = data.eventLoop
    this.topAllocators = data.topAllocators
    this.overheadBytes = data.overheadBytes
    this.notes = data.notes
    this.#pauseHistogram = pauseHistogram
    this.#makeProfile = makeProfile
  }

  /** All pauses in nanoseconds, as `perf_hooks` keeps them, for percentiles that the report does not have. */
  get pauseHistogram(): RecordableHistogram {
    return this.#pauseHistogram
  }

  /** The stacks of the allocating functions; `undefined` for a report without samples, and for one of a probe that goes on. */
  get profile(): GcProfile | undefined {
    this.#profile ??= this.#makeProfile()
    return this.#profile
  }

  /** The table. */
  toString(): string {
    return reportText(this)
  }
}

/** The same table from the data alone, as another process sends it. */
export function reportText(report: GcReportData): string {
  const { collections, pauses, eventLoop } = report
  const bytesRow = (name: string, bytes: number, perOperation: number | null): string[] => [
    name,
    bytesText(bytes),
    `${bytesText((bytes * 1000) / report.elapsedMs)}/s`,
    ...(perOperation === null ? [] : [`${bytesText(perOperation)}/operation`])
  ]
  const rows = [['time', durationText(report.elapsedMs)]]
  if (report.nsPerOperation !== null) {
    const each = `${durationText(report.nsPerOperation / 1e6)}/operation`
    rows[0].push(`${countText(report.operations)} operations`, each)
  }
  rows.push(bytesRow('heap', report.heapBytes, report.heapBytesPerOperation))
  if (report.externalBytes !== null) {
    rows.push(bytesRow('external', report.externalBytes, report.externalBytesPerOperation))
  }
  rows.push(generationsRow(report))
  rows.push(['collections', `${countText(collections.minor)} minor`, `${countText(collections.major)} major`])
  if (pauses.count > 0) {
    rows.push([
      'pauses',
      `p50 ${durationText(pauses.p50Us / 1000)}`,
      `p99 ${durationText(pauses.p99Us / 1000)}`,
      `max ${durationText(pauses.maxUs / 1000)}`,
      `all ${durationText(pauses.totalMs)} (${percentText(pauses.share)})`
    ])
  }
  if (eventLoop.samples > 0) {
    rows.push([
      'loop delay',
      `p50 ${durationText(eventLoop.p50Ms)}`,
      `p99 ${durationText(eventLoop.p99Ms)}`,
      `max ${durationText(eventLoop.maxMs)}`,
      `busy ${percentText(eventLoop.utilization)}`
    ])
  }
  const lines = alignedTable(rows)
  if (report.topAllocators.length > 0) {
    lines.push('top allocating functions')
    lines.push(...alignedTable(report.topAllocators.map((one) => allocatorRow(one, report.operations))))
  }
  lines.push(...report.notes.map((note) => `note: ${note}`))
  return lines.join('\n')
}

function generationsRow({ generations, operations }: GcReportData): string[] {
  const { youngBytes, oldBytes, promotedBytes } = generations
  const amount = (name: string, bytes: number): string =>
    `${name} ${operations > 0 ? `${bytesText((bytes * 1000) / operations)}/1,000 operations` : bytesText(bytes)}`
  return [
    'generations',
    amount('young', youngBytes),
    amount('old', oldBytes),
    amount('promoted', promotedBytes)
  ]
}

function allocatorRow(allocator: GcAllocator, operations: number): string[] {
  const { share, bytes } = allocator
  const amount = operations > 0 ? `${bytesText(bytes / operations)}/operation` : bytesText(bytes)
  return [`  ${percentText(share)}`, amount, functionText(allocator), placeText(allocator)]
}
