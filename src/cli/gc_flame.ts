// The flame graph of the report's page: stacks of functions, each as wide as what was allocated in it and in what it called.
import type { GcProfile } from '../gc/profile.js'
import { bytesText, functionText, percentText, placeText } from '../gc/text.js'
import { escapeHtml } from './gc_html.js'

/** A narrower function could not be seen, and a page holds only so many. */
const shareMin = 0.0005
const rowPx = 18
/** Hues of files; functions of Node.js and V8 are grey. */
const hues = [12, 24, 36, 48, 340, 352, 200, 170, 140, 265]

interface Block {
  /** Parts of the whole, 0 to 1. */
  left: number
  share: number
  depth: number
}

/** Empty when nothing was sampled. */
export function flameGraph(profile: GcProfile): string {
  const totals = totalsOf(profile)
  const all = profile.bytes
  if (all === 0) return ''
  const blocks: (Block | undefined)[] = []
  /** Where the next block of a parent begins; the last place is for those without a parent. */
  const next = new Float64Array(profile.nodes.length + 1)
  let depthMax = 0
  const html: string[] = []
  for (const [node, [parent, frame, own]] of profile.nodes.entries()) {
    const share = totals[node] / all
    const at = parent < 0 ? profile.nodes.length : parent
    const above = parent < 0 ? undefined : blocks[parent]
    if (share < shareMin || (parent >= 0 && above === undefined)) continue
    const block = {
      left: (above?.left ?? 0) + next[at],
      share,
      depth: above === undefined ? 0 : above.depth + 1
    }
    next[at] += share
    blocks[node] = block
    depthMax = Math.max(depthMax, block.depth)
    const { functionName, url } = profile.frames[frame]
    const name = functionText({ functionName, url })
    const place = placeText(profile.frames[frame])
    const amounts = `${bytesText(totals[node])} (${percentText(share)}), itself ${bytesText(own)}`
    html.push(blockHtml(block, name, place, amounts, url))
  }
  return `<div id="flame" style="height:${(depthMax + 1) * rowPx}px">${html.join('')}</div>`
}

/** What was allocated in each node and in those below it. */
function totalsOf({ nodes }: GcProfile): Float64Array {
  const totals = Float64Array.from(nodes, ([, , bytes]) => bytes)
  for (let node = nodes.length - 1; node >= 0; node--) {
    const [parent] = nodes[node]
    if (parent >= 0) totals[parent] += totals[node]
  }
  return totals
}

function blockHtml(
  { left, share, depth }: Block,
  name: string,
  place: string,
  amounts: string,
  url: string
): string {
  const isProgram = url !== '' && !url.startsWith('node:')
  const color = isProgram ? `hsl(${hues[hashOf(url) % hues.length]} 75% 70%)` : 'hsl(220 8% 75%)'
  const title = escapeHtml(`${name}\n${place}\n${amounts}`)
  return (
    `<button type="button" title="${title}" data-left="${left.toFixed(6)}" data-share="${share.toFixed(6)}" ` +
    `style="left:${(left * 100).toFixed(4)}%;width:${(share * 100).toFixed(4)}%;top:${depth * rowPx}px;background:${color}">` +
    `${escapeHtml(name)}</button>`
  )
}

function hashOf(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) >>> 0
  return hash
}
