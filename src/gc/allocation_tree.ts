// Samples of allocations by the functions that were on the stack, added up over several profiles of V8.
import { join } from 'node:path'

/** One function. */
export interface GcFrame {
  /** Empty for a function without a name. */
  functionName: string
  /** Path or URL of the source file; empty for V8's own functions. */
  url: string
  /** Counted from 1. */
  line: number
  /** Counted from 1. */
  column: number
}

/** One function and what was allocated in it itself, as estimated from the samples. */
export interface Allocator extends GcFrame {
  /** Estimated from the samples. */
  bytes: number
}

/** A function as V8's protocol names it. */
export interface CallFrame {
  functionName: string
  scriptId: string
  url: string
  lineNumber: number
  columnNumber: number
}

/** A node of the profile as V8 hands it out. */
export interface ProfileNode {
  callFrame: CallFrame
  selfSize: number
  children: ProfileNode[]
}

/** A function with V8's number of its script, which outlives a change of `url` and `line` to those of the user's source. */
export interface Site extends Allocator {
  readonly scriptId: string
}

/** A function as it was called by those above it. */
interface Call {
  readonly site: Site
  bytes: number
  readonly calls: Calls
}
type Calls = Map<Site, Call>

/**
 * Stacks of functions as numbers. A node is a function as it was called from another node: `[parent, frame, bytes]`, where `parent` is
 * the place of the calling node in `nodes`, or -1, and stands before it; `frame` is a place in `frames`; `bytes` were allocated in the
 * function itself.
 */
export interface GcProfileData {
  /** The functions. */
  frames: GcFrame[]
  /** The nodes. */
  nodes: [parent: number, frame: number, bytes: number][]
}

export class AllocationTree {
  readonly #sites = new Map<string, Site>()
  readonly #calls: Calls = new Map()

  /** Adds what a node of a profile calls; the first node of a profile is its root. */
  add(root: ProfileNode): void {
    this.#add(root, this.#calls)
  }

  /** The functions that allocated, most first. */
  allocators(): Site[] {
    return this.sites()
      .filter(({ bytes }) => bytes > 0)
      .sort((a, b) => b.bytes - a.bytes)
  }

  /** All functions that were on a stack. Whoever changes their places changes them in {@link data}, too. */
  sites(): Site[] {
    return [...this.#sites.values()]
  }

  /** The stacks. */
  data(): GcProfileData {
    const sites = this.sites()
    const places = new Map(sites.map((site, place) => [site, place]))
    const nodes: GcProfileData['nodes'] = []
    const addAll = (calls: Calls, parent: number): void => {
      for (const { site, bytes, calls: inner } of calls.values()) {
        const node = nodes.push([parent, places.get(site) as number, bytes]) - 1
        addAll(inner, node)
      }
    }
    addAll(this.#calls, -1)
    return { frames: sites.map(({ bytes: _, scriptId: __, ...frame }) => frame), nodes }
  }

  #add({ children }: ProfileNode, calls: Calls): void {
    for (const child of children) {
      const { functionName, url } = child.callFrame
      if (url.startsWith(reporterFiles)) continue
      // What the probe calls may be the measured code.
      this.#add(child, isOfProbe(functionName, url) ? calls : this.#addOne(child, calls))
    }
  }

  #addOne({ callFrame, selfSize }: ProfileNode, calls: Calls): Calls {
    const site = this.#siteOf(callFrame)
    site.bytes += selfSize
    let call = calls.get(site)
    if (call === undefined) {
      call = { site, bytes: 0, calls: new Map() }
      calls.set(site, call)
    }
    call.bytes += selfSize
    return call.calls
  }

  #siteOf({ functionName, scriptId, url, lineNumber, columnNumber }: ProfileNode['callFrame']): Site {
    const place = `${functionName} ${url}:${lineNumber}:${columnNumber}`
    let site = this.#sites.get(place)
    if (site === undefined) {
      site = { functionName, scriptId, url, line: lineNumber + 1, column: columnNumber + 1, bytes: 0 }
      this.#sites.set(place, site)
    }
    return site
  }
}

/** What reports for `zerio gc` calls no code of the program. */
const reporterFiles = join(__dirname, '..', 'cli', 'gc_')

/** Reading what V8 recorded allocates too. */
function isOfProbe(functionName: string, url: string): boolean {
  return (
    url.startsWith(__dirname) ||
    url === 'node:inspector' ||
    (url === 'node:v8' &&
      (functionName === 'stop' ||
        functionName === 'getHeapStatistics' ||
        functionName === 'getHeapSpaceStatistics'))
  )
}
