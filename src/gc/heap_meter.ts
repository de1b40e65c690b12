// How many bytes this thread allocated, on the V8 heap and outside of it, and what each collection cost.
//
// Between two collections the heap only grows, so what was allocated is the sum of those growths, whatever the collections
// freed: V8's profiler of collections tells the sizes before and after each. Nothing of it runs in JavaScript meanwhile.
import { GCProfiler, getHeapStatistics } from 'node:v8'

/** Called for each collection of a stretch, when the stretch ends. */
export type CollectionListener = (kind: string, pauseUs: number) => void

/** The two sizes that count, in a place that costs no garbage to write. */
const enum Size {
  Heap,
  External
}

export class HeapMeter {
  /** Totals of all stretches so far. */
  heapBytes = 0
  externalBytes = 0
  #profiler = new GCProfiler()
  readonly #from = new Float64Array(2)
  readonly #to = new Float64Array(2)

  constructor(private readonly onCollection: CollectionListener) {}

  /** Starts a stretch. What is allocated between two stretches is not counted. */
  begin(): void {
    this.#profiler = new GCProfiler()
    this.#profiler.start()
    // Reading allocates its result after the sizes were taken: the second reading tells how much.
    readSizes(this.#to)
    readSizes(this.#from)
    this.#from[Size.Heap] += Math.max(0, this.#from[Size.Heap] - this.#to[Size.Heap])
  }

  /** Ends the stretch and adds it to the totals. */
  end(): void {
    readSizes(this.#to)
    const from = this.#from
    for (const collection of this.#profiler.stop().statistics) {
      const { beforeGC, afterGC } = collection
      this.#add(beforeGC.heapStatistics.usedHeapSize, beforeGC.heapStatistics.externalMemory)
      from[Size.Heap] = afterGC.heapStatistics.usedHeapSize
      from[Size.External] = afterGC.heapStatistics.externalMemory
      this.onCollection(collection.gcType, collection.cost)
    }
    this.#add(this.#to[Size.Heap], this.#to[Size.External])
  }

  /** Memory outside of the heap can shrink between two collections as well, when native code frees some. */
  #add(heapSize: number, externalSize: number): void {
    this.heapBytes += Math.max(0, heapSize - this.#from[Size.Heap])
    this.externalBytes += Math.max(0, externalSize - this.#from[Size.External])
  }
}

function readSizes(sizes: Float64Array): void {
  const statistics = getHeapStatistics()
  sizes[Size.Heap] = statistics.used_heap_size
  sizes[Size.External] = statistics.external_memory
}
