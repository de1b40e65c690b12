// Measures what a stretch of a program's life allocates. Collections: V8's --trace-gc is on during the stretch only,
// so the starter of the program counts the lines it prints. Mallocs: read from the file that malloc_count.so keeps. Iterations of
// the event loop: Node.js allocates in each of them.
import { openSync, readSync } from 'node:fs'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'

export class Meter {
  #file = process.env.MALLOC_COUNT_FILE === undefined ? -1 : openSync(process.env.MALLOC_COUNT_FILE, 'r')
  #counts = Buffer.alloc(16)
  #mallocs = 0
  #mainThreadMallocs = 0
  #heapBytes = 0
  #loops = 0
  #result = { mallocs: 0, mainThreadMallocs: 0, heapBytes: 0, loops: 0 }

  constructor() {
    // The first use of each of these allocates; the ones that count must not.
    this.start()
    this.stop()
  }

  start() {
    this.#loops = performance.nodeTiming.uvMetricsInfo.loopCount
    // What was allocated before must not fill the nursery up now. Node needs --expose-gc for this.
    globalThis.gc({ type: 'minor' })
    setFlagsFromString('--trace-gc')
    this.#heapBytes = getHeapStatistics().used_heap_size
    this.#readCounts()
    this.#mallocs = this.#counts.readUIntLE(0, 6)
    this.#mainThreadMallocs = this.#counts.readUIntLE(8, 6)
  }

  stop() {
    this.#readCounts()
    this.#result.mallocs = this.#counts.readUIntLE(0, 6) - this.#mallocs
    this.#result.mainThreadMallocs = this.#counts.readUIntLE(8, 6) - this.#mainThreadMallocs
    this.#result.heapBytes = getHeapStatistics().used_heap_size - this.#heapBytes
    setFlagsFromString('--no-trace-gc')
    this.#result.loops = performance.nodeTiming.uvMetricsInfo.loopCount - this.#loops
  }

  /** What was allocated between start() and stop(). */
  get result() {
    return this.#result
  }

  #readCounts() {
    if (this.#file >= 0) readSync(this.#file, this.#counts, 0, 16, 0)
  }
}
