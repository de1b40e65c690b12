// How many bytes this process allocated on the V8 heap, exactly, and how often V8 collected them.

import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import { GCProfiler, getHeapStatistics } from 'node:v8'

/**
 * The heap only grows between two collections, so what was allocated is the sum of those growths: V8's own
 * profiler tells the size before and after each collection. What is allocated between `pause()` and
 * `resume()` is left out: that is the reporting, which is no part of the message path.
 */
export class GarbageMeter {
  bytes = 0
  collections = 0
  private profiler = new GCProfiler()
  private heapBytes = 0
  private readonly observer: PerformanceObserver

  constructor() {
    this.observer = new PerformanceObserver((list) => this.count(list.getEntries()))
    this.observer.observe({ entryTypes: ['gc'] })
    this.resume()
    this.bytes = 0
  }

  pause(): void {
    const heapBytes = usedHeapBytes()
    let from = this.heapBytes
    for (const { beforeGC, afterGC } of this.profiler.stop().statistics) {
      this.bytes += Math.max(0, beforeGC.heapStatistics.usedHeapSize - from)
      from = afterGC.heapStatistics.usedHeapSize
    }
    this.bytes += Math.max(0, heapBytes - from)
    this.count(this.observer.takeRecords())
  }

  resume(): void {
    this.profiler = new GCProfiler()
    this.profiler.start()
    // Reading the heap's size allocates its result after it was read: the second reading tells how much.
    const first = usedHeapBytes()
    const second = usedHeapBytes()
    this.heapBytes = second + Math.max(0, second - first)
  }

  /** An incremental marking step is reported like a collection, but it is only a part of one. */
  private count(entries: PerformanceEntry[]): void {
    for (const entry of entries) {
      const { kind } = (entry as unknown as { detail: { kind: number } }).detail
      if (
        kind !== constants.NODE_PERFORMANCE_GC_INCREMENTAL &&
        kind !== constants.NODE_PERFORMANCE_GC_WEAKCB
      ) {
        this.collections++
      }
    }
  }
}

function usedHeapBytes(): number {
  return getHeapStatistics().used_heap_size
}
