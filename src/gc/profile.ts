// The stacks of allocating functions, and the two kinds of files that other tools read them from.
import { gzipSync } from 'node:zlib'
import type { CallFrame, GcFrame, GcProfileData } from './allocation_tree.js'
import { Message } from './protobuf.js'

export type { GcFrame, GcProfileData } from './allocation_tree.js'

/** A node of a `.heapprofile` file. */
interface HeapProfileNode {
  callFrame: CallFrame
  selfSize: number
  id: number
  children: HeapProfileNode[]
}

/** Which functions allocated, and which ones had called them, estimated from samples. */
export class GcProfile implements GcProfileData {
  readonly frames: GcFrame[]
  readonly nodes: GcProfileData['nodes']

  /** @internal */
  constructor({ frames, nodes }: GcProfileData) {
    this.frames = frames
    this.nodes = nodes
  }

  /** All that was sampled, in bytes. */
  get bytes(): number {
    return this.nodes.reduce((sum, [, , bytes]) => sum + bytes, 0)
  }

  /** The text of a `.heapprofile` file, for the Memory panel of Chrome's developer tools and for speedscope. */
  toHeapProfile(): string {
    const root = heapProfileNode({ functionName: '(root)', url: '', line: 1, column: 1 }, 0, 1)
    const made: HeapProfileNode[] = []
    const samples: { size: number; nodeId: number; ordinal: number }[] = []
    for (const [parent, frame, bytes] of this.nodes) {
      const node = heapProfileNode(this.frames[frame], bytes, made.length + 2)
      ;(parent < 0 ? root : made[parent]).children.push(node)
      made.push(node)
      if (bytes > 0) samples.push({ size: bytes, nodeId: node.id, ordinal: samples.length + 1 })
    }
    return JSON.stringify({ head: root, samples })
  }

  /** The bytes of a pprof file, compressed with gzip, for `go tool pprof` and for services that keep profiles. */
  toPprof(): Uint8Array {
    const strings = new Map([['', 0]])
    const indexOf = (text: string): number => {
      const known = strings.get(text)
      if (known !== undefined) return known
      strings.set(text, strings.size)
      return strings.size - 1
    }
    const kind = new Message().number(1, indexOf('alloc_space')).number(2, indexOf('bytes'))
    const profile = new Message().message(1, kind)
    for (const [node, [, , bytes]] of this.nodes.entries()) {
      if (bytes > 0) profile.message(2, new Message().numbers(1, this.#stackOf(node)).numbers(2, [bytes]))
    }
    // A place and its function have the same number: the place of the frame, counted from 1.
    for (const [place, { line }] of this.frames.entries()) {
      const at = new Message().number(1, place + 1).number(2, line)
      profile.message(4, new Message().number(1, place + 1).message(4, at))
    }
    for (const [place, { functionName, url, line }] of this.frames.entries()) {
      const name = indexOf(functionName || '(anonymous)')
      const described = new Message()
        .number(1, place + 1)
        .number(2, name)
        .number(3, name)
      profile.message(5, described.number(4, indexOf(url)).number(5, line))
    }
    for (const text of strings.keys()) profile.text(6, text)
    return gzipSync(profile.bytes())
  }

  /** From the function itself to the one that everything began with. */
  #stackOf(node: number): number[] {
    const stack: number[] = []
    for (let at = node; at >= 0; at = this.nodes[at][0]) stack.push(this.nodes[at][1] + 1)
    return stack
  }
}

function heapProfileNode(frame: GcFrame, selfSize: number, id: number): HeapProfileNode {
  const { functionName, url, line, column } = frame
  return {
    callFrame: { functionName, scriptId: '0', url, lineNumber: line - 1, columnNumber: column - 1 },
    selfSize,
    id,
    children: []
  }
}
