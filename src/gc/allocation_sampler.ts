// Who allocates: V8's sampling heap profiler, its samples added up by function.
import type { Session } from 'node:inspector'
import { misuse } from '../errors.js'

/** One function and what was allocated in it itself, as estimated from the samples. */
export interface Allocator {
  functionName: string
  /** Path or URL of the script; empty for V8's own functions. */
  url: string
  /** Counted from 1. */
  line: number
  column: number
  bytes: number
}

interface ProfileNode {
  callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number }
  selfSize: number
  children: ProfileNode[]
}

/** V8 keeps all samples until the profile is taken; beyond so many, fewer are as good. */
const samplesMax = 10_000

/** V8 has one profiler for each thread. */
let current: AllocationSampler | undefined

export class AllocationSampler {
  readonly #session: Session
  readonly #allocators = new Map<string, Allocator>()
  #intervalBytes: number

  /** Throws `ZERIO_SAMPLER_IN_USE` when another one of this thread is at work. */
  constructor(intervalBytes: number) {
    if (current !== undefined) {
      throw misuse(
        'ZERIO_SAMPLER_IN_USE',
        'Another probe of this thread samples allocations already; pass samplingBytes: 0 to this one.'
      )
    }
    this.#intervalBytes = intervalBytes
    // Not imported above: Node.js can be built without the inspector.
    const inspector = require('node:inspector') as typeof import('node:inspector')
    this.#session = new inspector.Session()
    this.#session.connect()
    current = this
    this.#start()
  }

  /** The functions that allocated most so far, most first. */
  top(count: number): Allocator[] {
    return [...this.#allocators.values()].sort((a, b) => b.bytes - a.bytes).slice(0, count)
  }

  /** All that was sampled so far, in bytes. */
  get bytes(): number {
    let bytes = 0
    for (const allocator of this.#allocators.values()) bytes += allocator.bytes
    return bytes
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
    current = undefined
  }

  #start(): void {
    this.#post('HeapProfiler.startSampling', {
      samplingInterval: this.#intervalBytes,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true
    })
  }

  #stop(): number {
    const { profile } = this.#post('HeapProfiler.stopSampling') as {
      profile: { head: ProfileNode; samples: unknown[] }
    }
    this.#add(profile.head)
    return profile.samples.length
  }

  #add({ callFrame, selfSize, children }: ProfileNode): void {
    if (selfSize > 0 && !isOfProbe(callFrame)) {
      const { functionName, url, lineNumber, columnNumber } = callFrame
      const place = `${functionName} ${url}:${lineNumber}:${columnNumber}`
      let allocator = this.#allocators.get(place)
      if (allocator === undefined) {
        allocator = { functionName, url, line: lineNumber + 1, column: columnNumber + 1, bytes: 0 }
        this.#allocators.set(place, allocator)
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

/** Taking what the profilers saw allocates too. */
function isOfProbe({ functionName, url }: ProfileNode['callFrame']): boolean {
  return (
    url.startsWith(__dirname) ||
    url === 'node:inspector' ||
    (url === 'node:v8' && (functionName === 'stop' || functionName === 'getHeapStatistics'))
  )
}
