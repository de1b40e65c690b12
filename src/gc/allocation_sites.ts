// Samples of allocations by call stack, added up over several profiles of V8, and by function.
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

/** A function at one place of the call tree. */
export interface CallNode {
  /** The function, with all that it allocated, at this place and at others. */
  readonly allocator: Allocator
  /** What it allocated at this place. */
  bytes: number
  readonly children: Map<string, CallNode>
}

/** A function with V8's number of its script, which outlives a change of `url` and `line` to those of the user's source. */
export interface Site extends Allocator {
  readonly scriptId: string
}

export class CallTree {
  readonly #sites = new Map<string, Site>()
  readonly root: CallNode = {
    allocator: { functionName: '(root)', url: '', line: 0, column: 0, bytes: 0 },
    bytes: 0,
    children: new Map()
  }

  /** Adds a profile, whose first node is the root. */
  add(head: ProfileNode): void {
    this.#addChildren(this.root, head)
  }

  /** The functions that allocated, most first. */
  allocators(): Site[] {
    return [...this.#sites.values()].filter(({ bytes }) => bytes > 0).sort((a, b) => b.bytes - a.bytes)
  }

  #addChildren(parent: CallNode, { children }: ProfileNode): void {
    for (const child of children) {
      const { functionName, url } = child.callFrame
      if (url.startsWith(reporterFiles)) continue
      // What the probe calls may be the measured code.
      if (isOfProbe(functionName, url)) this.#addChildren(parent, child)
      else this.#addChildren(this.#add(parent, child), child)
    }
  }

  #add(parent: CallNode, { callFrame, selfSize }: ProfileNode): CallNode {
    const { functionName, scriptId, url, lineNumber, columnNumber } = callFrame
    const place = `${functionName} ${url}:${lineNumber}:${columnNumber}`
    let site = this.#sites.get(place)
    if (site === undefined) {
      site = { functionName, scriptId, url, line: lineNumber + 1, column: columnNumber + 1, bytes: 0 }
      this.#sites.set(place, site)
    }
    let node = parent.children.get(place)
    if (node === undefined) {
      node = { allocator: site, bytes: 0, children: new Map() }
      parent.children.set(place, node)
    }
    site.bytes += selfSize
    node.bytes += selfSize
    return node
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
