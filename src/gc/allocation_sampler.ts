// Who allocates: V8's sampling heap profiler, its samples added up by function.
import type { Session } from 'node:inspector'

/** One function and what was allocated in it itself, as estimated from the samples. */
export interface Allocator {
  /** Empty for a function without a name. */
  functionName: string
  /** Path or URL of the script; empty for V8's own functions. */
  url: string
  /** Counted from 1. */
  line: number
  /** Counted from 1. */
  column: number
  /** Estimated from the samples. */
  bytes: number
}

interface ProfileNode {
  callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number }
  selfSize: number
  children: ProfileNode[]
}

/** V8 keeps all samples until the profile is taken; beyond so many, fewer are as good. */
const samplesMax = 10_000

/** V8's profiler of this thread, of which there is one: it runs while anybody wants samples. */
class Profiler {
  readonly allocators = new Map<string, Allocator>()
  readonly #session: Session
  #intervalBytes: number

  constructor(intervalBytes: number) {
    this.#intervalBytes = intervalBytes
    // Not imported above: Node.js can be built without the inspector.
    const inspector = require('node:inspector') as typeof import('node:inspector')
    this.#session = new inspector.Session()
    this.#session.connect()
    this.#start()
  }

  /** Adds up the samples since the last call, and goes on. */
  collect(): void {
    const sampleCount = this.#stop()
    if (sampleCount > samplesMax) this.#intervalBytes *= 2
    this.#start()
  }

  close(): void {
    this.#stop()
    this.#session.disconnect()
  }

  #start(): void {
    this.#post('HeapProfiler.startSampling', {
      samplingInterval: this.#intervalBytes,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true
    })
  }

  #stop(): number {
    let answer: unknown
    try {
      answer = this.#post('HeapProfiler.stopSampling')
    } catch {
      // The program uses V8's profiler, too, and has stopped it: these samples are its own.
      return 0
    }
    const { profile } = answer as { profile: { head: ProfileNode; samples: unknown[] } }
    this.#add(profile.head)
    return profile.samples.length
  }

  #add({ callFrame, selfSize, children }: ProfileNode): void {
    if (selfSize > 0 && !isOfProbe(callFrame)) {
      const { functionName, url, lineNumber, columnNumber } = callFrame
      const place = `${functionName} ${url}:${lineNumber}:${columnNumber}`
      let allocator = this.allocators.get(place)
      if (allocator === undefined) {
        allocator = { functionName, url, line: lineNumber + 1, column: columnNumber + 1, bytes: 0 }
        this.allocators.set(place, allocator)
      }
      allocator.bytes += selfSize
    }
    for (const child of children) this.#add(child)
  }

  /** A session of the own thread answers before `post` returns. */
  #post(method: string, parameters?: object): unknown {
    let failure: Error | null = null
    let answer: unknown
    this.#session.post(method, parameters, (error, result) => {
      failure = error
      answer = result
    })
    if (failure !== null) throw failure
    return answer
  }
}

let profiler: Profiler | undefined
let samplers = 0

/** What was sampled from one moment on. Several can be at work; the first one's interval is that of all. */
export class AllocationSampler {
  readonly #profiler: Profiler
  /** What was sampled before, by place. */
  readonly #bytesBefore = new Map<string, number>()
  #allocators: Allocator[] = []

  constructor(intervalBytes: number) {
    samplers++
    if (profiler === undefined) profiler = new Profiler(intervalBytes)
    else profiler.collect()
    this.#profiler = profiler
    for (const [place, { bytes }] of profiler.allocators) this.#bytesBefore.set(place, bytes)
  }

  /** The functions that allocated most until the last `collect`, most first. */
  top(count: number): Allocator[] {
    return this.#allocators.slice(0, count)
  }

  /** All that was sampled until then, in bytes. */
  get bytes(): number {
    return this.#allocators.reduce((bytes, allocator) => bytes + allocator.bytes, 0)
  }

  /** Takes the samples since the last call, and goes on. */
  collect(): void {
    this.#profiler.collect()
    this.#take()
  }

  close(): void {
    if (--samplers > 0) {
      this.#profiler.collect()
    } else {
      this.#profiler.close()
      profiler = undefined
    }
    this.#take()
  }

  #take(): void {
    const allocators: Allocator[] = []
    for (const [place, allocator] of this.#profiler.allocators) {
      const bytes = allocator.bytes - (this.#bytesBefore.get(place) ?? 0)
      if (bytes > 0) allocators.push({ ...allocator, bytes })
    }
    this.#allocators = allocators.sort((a, b) => b.bytes - a.bytes)
  }
}

/** Taking what the profilers saw allocates too. */
function isOfProbe({ functionName, url }: ProfileNode['callFrame']): boolean {
  return (
    url.startsWith(__dirname) ||
    url === 'node:inspector' ||
    (url === 'node:v8' && (functionName === 'stop' || functionName === 'getHeapStatistics'))
  )
}
