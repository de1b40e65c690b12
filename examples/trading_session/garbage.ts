// How many bytes this process allocated on the V8 heap, exactly, and how often V8 collected them.
import { HeapMeter } from './internals.js'

/** What is allocated between `pause()` and `resume()` is left out: that is the reporting, which is no part of the message path. */
export class GarbageMeter {
  collections = 0
  readonly #heap = new HeapMeter(() => {
    this.collections++
  })

  constructor() {
    this.resume()
  }

  get bytes(): number {
    return this.#heap.heapBytes
  }

  pause(): void {
    this.#heap.end()
  }

  resume(): void {
    this.#heap.begin()
  }
}
