// How many bytes this thread allocated, on the V8 heap and outside of it, and what each collection cost.
//
// Between two collections the heap only grows, so what was allocated is the sum of those growths, whatever the collections
// freed: V8's profiler of collections records the sizes before and after each. Nothing of it runs in JavaScript meanwhile.
import { GCProfiler, type GCProfilerResult, getHeapSpaceStatistics, getHeapStatistics } from 'node:v8'

/** Called for each collection of a stretch, when the stretch ends. */
export type CollectionListener = (kind: string, pauseUs: number) => void

/** The sizes that count, in a place that costs no garbage to write. */
const enum Size {
  Heap,
  External,
  /** The part of the heap that belongs to the young generation. */
  Young
}

/** Those of this thread that are in a stretch. */
const meters = new Set<HeapMeter>()

export class HeapMeter {
  /** Totals of all stretches so far. */
  heapBytes = 0
  externalBytes = 0
  /** The part of `heapBytes` that was allocated in the young generation. */
  youngBytes = 0
  /** What minor collections moved to the old generation. */
  promotedBytes = 0
  #profiler = new GCProfiler()
  /** Those that have ended, as long as V8 has not collected them. */
  #ended: WeakRef<GCProfiler>[] = []
  readonly #from = new Float64Array(3)
  readonly #to = new Float64Array(3)
  readonly #before = new Float64Array(3)

  constructor(private readonly onCollection: CollectionListener) {}

  /** The size of the heap when it was read last. */
  get heapSizeBytes(): number {
    return this.#to[Size.Heap]
  }

  /** The size of the memory outside of the heap, from the same reading. */
  get externalSizeBytes(): number {
    return this.#to[Size.External]
  }

  /**
   * How many profilers of V8 have ended and still make each pause some 8 microseconds longer (4 to 24): Node.js takes them out of V8's list only when
   * they are collected, and those that lived for long are collected by a major collection alone.
   */
  get endedProfilers(): number {
    this.#ended = this.#ended.filter((profiler) => profiler.deref() !== undefined)
    return this.#ended.length
  }

  /** Starts a stretch. What is allocated between two stretches is not counted. */
  begin(): void {
    meters.add(this)
    this.#profiler = new GCProfiler()
    this.#profiler.start()
    this.#readFrom()
  }

  /** Ends the stretch and adds it to the totals. */
  end(): void {
    const ended = this.#stop()
    meters.delete(this)
    this.#addAll(ended)
  }

  /**
   * Does some work of the measurement's own between two stretches. Its bytes do not count. Collections that V8 makes meanwhile do,
   * because they are the program's garbage as well, unless the work itself `forces` them.
   */
  between<T>(work: () => T, forces: boolean): T {
    // Nothing is allocated between the start of a profiler and the end of the one before: each collection is in one of them.
    const meanwhile = new GCProfiler()
    const next = new GCProfiler()
    const ended = this.#stop(meanwhile)
    meters.delete(this)
    this.#addAll(ended)
    const result = work()
    meters.add(this)
    this.#readFrom()
    this.#profiler = next
    next.start()
    const { statistics } = meanwhile.stop()
    if (!forces) for (const { gcType, cost } of statistics) this.onCollection(gcType, cost)
    // This has allocated too, unless V8 has collected in it.
    const heapSize = this.#from[Size.Heap]
    this.#readFrom()
    this.#from[Size.Heap] = Math.max(heapSize, this.#from[Size.Heap])
    return result
  }

  /** Reads the sizes and ends the profiler; `next` begins at this moment. */
  #stop(next?: GCProfiler): GCProfilerResult {
    const reading = new GCProfiler()
    reading.start()
    readSizes(this.#to)
    this.#to[Size.Young] = youngSize(getHeapSpaceStatistics(), 'space_name', 'space_used_size')
    next?.start()
    const ended = this.#profiler.stop()
    // One that has lived through fewer minor collections goes with the next one.
    if (ended.statistics.length >= 2) this.#ended.push(new WeakRef(this.#profiler))
    const { statistics } = reading.stop()
    const last = ended.statistics.at(-1)
    // Reading allocates its result, and V8 may collect for that: then the sizes are those of before, and nothing came behind.
    if (last !== undefined && statistics.some((one) => isSame(one, last))) {
      takeSizes(this.#to, last.afterGC)
    }
    return ended
  }

  /** Reading allocates its result after the sizes were taken: a second reading shows how much. */
  #readFrom(): void {
    this.#from[Size.Young] = youngSize(getHeapSpaceStatistics(), 'space_name', 'space_used_size')
    readSizes(this.#to)
    readSizes(this.#from)
    this.#from[Size.Heap] += Math.max(0, this.#from[Size.Heap] - this.#to[Size.Heap])
  }

  #addAll({ statistics }: GCProfilerResult): void {
    const [from, before] = [this.#from, this.#before]
    for (const { beforeGC, afterGC, gcType, cost } of statistics) {
      takeSizes(before, beforeGC)
      this.#add(before)
      takeSizes(from, afterGC)
      if (isMinor(gcType)) this.promotedBytes += Math.max(0, oldSize(from) - oldSize(before))
      this.onCollection(gcType, cost)
    }
    this.#add(this.#to)
  }

  /** Memory outside of the heap can shrink between two collections as well, when native code frees some. */
  #add(to: Float64Array): void {
    const from = this.#from
    const heapBytes = Math.max(0, to[Size.Heap] - from[Size.Heap])
    this.heapBytes += heapBytes
    this.externalBytes += Math.max(0, to[Size.External] - from[Size.External])
    // Reading the size of the young generation allocates in it, which the size of the heap leaves out.
    this.youngBytes += Math.min(heapBytes, Math.max(0, to[Size.Young] - from[Size.Young]))
  }
}

type Collection = GCProfilerResult['statistics'][number]

/** Whether two profilers saw the same collection. */
function isSame(one: Collection, other: Collection): boolean {
  return (
    one.beforeGC.heapStatistics.usedHeapSize === other.beforeGC.heapStatistics.usedHeapSize &&
    one.afterGC.heapStatistics.usedHeapSize === other.afterGC.heapStatistics.usedHeapSize
  )
}

/** Does some work that forces collections, which no meter of the thread shall count. */
export function uncounted(work: () => void): void {
  let step = work
  for (const meter of [...meters]) {
    const inner = step
    step = () => meter.between(inner, true)
  }
  step()
}

function readSizes(sizes: Float64Array): void {
  const statistics = getHeapStatistics()
  sizes[Size.Heap] = statistics.used_heap_size
  sizes[Size.External] = statistics.external_memory
}

type Sizes = Collection['beforeGC']

function takeSizes(sizes: Float64Array, { heapStatistics, heapSpaceStatistics }: Sizes): void {
  sizes[Size.Heap] = heapStatistics.usedHeapSize
  sizes[Size.External] = heapStatistics.externalMemory
  sizes[Size.Young] = youngSize(heapSpaceStatistics, 'spaceName', 'spaceUsedSize')
}

const oldSize = (sizes: Float64Array): number => sizes[Size.Heap] - sizes[Size.Young]

/** V8 names the fields of a space in two ways. */
function youngSize<Name extends string, Used extends string>(
  spaces: readonly (Record<Name, string> & Record<Used, number>)[],
  name: Name,
  used: Used
): number {
  let size = 0
  for (const space of spaces) {
    if (space[name] === 'new_space' || space[name] === 'new_large_object_space') size += space[used]
  }
  return size
}

/** Whether V8 collected the young generation alone. */
export function isMinor(gcType: string): boolean {
  return gcType === 'Scavenge' || gcType.startsWith('Minor')
}
