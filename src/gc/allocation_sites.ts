// Samples of allocations by function, added up over several profiles of V8.
import { join } from 'node:path'

/** One function and what was allocated in it itself, as estimated from the samples. */
export interface Allocator {
  /** Empty for a function without a name. */
  functionName: string
  /** Path or URL of the source file; empty for V8's own functions. */
  url: string
  /** Counted from 1. */
  line: number
  /** Counted from 1. */
  column: number
  /** Estimated from the samples. */
  bytes: number
}

/** A node of the profile as V8 hands it out. */
export interface ProfileNode {
  callFrame: {
    functionName: string
    scriptId: string
    url: string
    lineNumber: number
    columnNumber: number
  }
  selfSize: number
  children: ProfileNode[]
}

/** A function with V8's number of its script, which outlives a change of `url` and `line` to those of the user's source. */
export interface Site extends Allocator {
  readonly scriptId: string
}

export class AllocationSites {
  readonly #sites = new Map<string, Site>()

  /** Adds what a node of a profile calls; the first node of a profile is its root. */
  add({ children }: ProfileNode): void {
    for (const child of children) {
      const { functionName, url } = child.callFrame
      if (url.startsWith(reporterFiles)) continue
      // What the probe calls may be the measured code.
      if (!isOfProbe(functionName, url)) this.#addOne(child)
      this.add(child)
    }
  }

  /** The functions that allocated, most first. */
  allocators(): Site[] {
    return [...this.#sites.values()].filter(({ bytes }) => bytes > 0).sort((a, b) => b.bytes - a.bytes)
  }

  #addOne({ callFrame, selfSize }: ProfileNode): void {
    const { functionName, scriptId, url, lineNumber, columnNumber } = callFrame
    const place = `${functionName} ${url}:${lineNumber}:${columnNumber}`
    let site = this.#sites.get(place)
    if (site === undefined) {
      site = { functionName, scriptId, url, line: lineNumber + 1, column: columnNumber + 1, bytes: 0 }
      this.#sites.set(place, site)
    }
    site.bytes += selfSize
  }
}

/** What reports for `zerio gc` calls no code of the program. */
const reporterFiles = join(__dirname, '..', 'cli', 'gc_')

/** Reading what V8 recorded allocates too. */
function isOfProbe(functionName: string, url: string): boolean {
  return (
    url.startsWith(__dirname) ||
    url === 'node:inspector' ||
    (url === 'node:v8' && (functionName === 'stop' || functionName === 'getHeapStatistics'))
  )
}
