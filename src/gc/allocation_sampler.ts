// Who allocates: V8's sampling heap profiler of this thread.
//
// V8 hands the samples out only together with a collection of the whole heap. So they are taken at the end of a measurement; before
// it only when they would need too much memory, or when another sampler of the thread begins or ends.
import type { Session } from 'node:inspector'
import {
  AllocationTree,
  type Allocator,
  type GcProfileData,
  type ProfileNode,
  type Site
} from './allocation_tree.js'
import { uncounted } from './heap_meter.js'
import { openSession, post } from './inspector.js'
import { mapToSources, withScripts } from './source_lines.js'

/** V8 keeps each sample, of some 100 bytes, until the profile is taken. */
const samplesMax = 100_000
/** The samples become rarer by this factor, so that they are taken less and less often. */
const thinning = 4

/** V8's profiler, of which a thread has one: it runs while there are samplers. */
class Profiler {
  readonly samplers = new Set<AllocationSampler>()
  readonly session: Session = openSession()

  constructor(public intervalBytes: number) {
    this.#start()
  }

  /** Hands out the samples since the last call. */
  collect(): void {
    uncounted(() => {
      this.#stop()
      this.#start()
    })
  }

  close(): void {
    uncounted(() => this.#stop())
  }

  #start(): void {
    post(this.session, 'HeapProfiler.startSampling', {
      samplingInterval: this.intervalBytes,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true
    })
  }

  #stop(): void {
    let head: ProfileNode | undefined
    try {
      const answer = post(this.session, 'HeapProfiler.stopSampling')
      head = (answer as { profile: { head: ProfileNode } }).profile.head
    } catch {
      // The program uses V8's profiler, too, and has stopped it: these samples are its own.
    }
    for (const sampler of this.samplers) sampler.add(head)
  }
}

let profiler: Profiler | undefined

/** What is sampled from one moment on. Several can be at work; the first one's interval is that of all. */
export class AllocationSampler {
  readonly #found = new AllocationTree()
  /** Whether something else in the thread took samples. */
  wasRobbed = false
  readonly #profiler: Profiler
  #bytesSinceTaken = 0
  #sites: Site[] = []
  readonly #mapped = new Set<Site>()

  /** Throws where the inspector is missing or forbidden. */
  constructor(intervalBytes: number) {
    if (profiler === undefined) profiler = new Profiler(intervalBytes)
    else profiler.collect()
    this.#profiler = profiler
    profiler.samplers.add(this)
  }

  /** The functions that allocated most, most first; none before `close`. */
  top(count: number): Allocator[] {
    return this.#sites.slice(0, count).map(({ scriptId: _, ...allocator }) => allocator)
  }

  /** The stacks, after `close`. Finds the source lines of the functions for which it did not. */
  profile(): GcProfileData {
    this.#map(this.#found.sites(), new Map())
    return this.#found.data()
  }

  /** All that was sampled, in bytes; 0 before `close`. */
  get bytes(): number {
    return this.#sites.reduce((bytes, site) => bytes + site.bytes, 0)
  }

  /** The program allocated so many bytes more: the samples of them must not need too much memory. */
  spend(bytes: number): void {
    this.#bytesSinceTaken += bytes
    if (this.#bytesSinceTaken / this.#profiler.intervalBytes <= samplesMax) return
    this.#profiler.intervalBytes *= thinning
    this.#profiler.collect()
  }

  /** The profiler hands out samples; `undefined`: something else in the thread took them. */
  add(head: ProfileNode | undefined): void {
    this.#bytesSinceTaken = 0
    if (head === undefined) this.wasRobbed = true
    else this.#found.add(head)
  }

  /**
   * Takes the samples, and finds the source lines of the `linesMax` functions that allocated most: of all scripts when the program is
   * over, otherwise of those for which it costs the program nothing.
   */
  close(linesMax: number, isProgramOver: boolean): void {
    const { session, samplers } = this.#profiler
    const close = (locations: ReadonlyMap<string, string>) => {
      if (samplers.size === 1) this.#profiler.close()
      else this.#profiler.collect()
      this.#sites = this.#found.allocators()
      this.#map(this.#sites.slice(0, linesMax), locations)
    }
    if (isProgramOver) withScripts(session, close)
    else close(new Map())
    samplers.delete(this)
    if (samplers.size > 0) return
    session.disconnect()
    profiler = undefined
  }

  /** Once for each function: a place in a source may have a map, too. */
  #map(sites: readonly Site[], locations: ReadonlyMap<string, string>): void {
    mapToSources(
      sites.filter((site) => !this.#mapped.has(site)),
      locations
    )
    for (const site of sites) this.#mapped.add(site)
  }
}
