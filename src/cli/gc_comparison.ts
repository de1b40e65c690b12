// Reports that are kept in a file, and what has changed since: a verdict for each figure, from several runs on both sides.
import { readFileSync, writeFileSync } from 'node:fs'
import type { GcReportData } from '../gc/report.js'
import { type Difference, differenceOf } from '../gc/statistics.js'
import { alignedTable, bytesText, countText, durationText, functionText } from '../gc/text.js'
import { UsageError } from './flags.js'
import type { GcTotal } from './gc_total.js'

/** What `--save` writes, and `--compare` reads. */
interface SavedRuns {
  /** The version of this form. */
  zerioGc: 1
  node: string
  /** One for each run. */
  reports: GcReportData[]
}

export function saveRuns(file: string, totals: readonly GcTotal[]): void {
  const reports = totals.map(({ parts: _, ...report }) => report)
  const saved: SavedRuns = { zerioGc: 1, node: process.version, reports }
  writeFileSync(file, `${JSON.stringify(saved)}\n`)
}

/** Throws a {@link UsageError}. */
export function readRuns(file: string): SavedRuns {
  let saved: Partial<SavedRuns>
  try {
    saved = JSON.parse(readFileSync(file, 'utf8')) as Partial<SavedRuns>
  } catch (error) {
    throw new UsageError(`--compare cannot read '${file}': ${(error as Error).message}`)
  }
  if (saved?.zerioGc !== 1 || !Array.isArray(saved.reports) || saved.reports.length === 0) {
    throw new UsageError(`--compare needs a file that --save has written; '${file}' is another one`)
  }
  return saved as SavedRuns
}

interface Figure {
  name: string
  of: (report: GcReportData) => number
  text: (value: number) => string
  /** A smaller difference is V8's own. */
  least: number
}

/** More of these is worse for sure; times depend on the machine, too. */
const allocated: readonly Figure[] = [
  { name: 'heap', of: ({ heapBytes }) => heapBytes, text: bytesText, least: 100_000 },
  { name: 'external', of: ({ externalBytes }) => externalBytes ?? 0, text: bytesText, least: 100_000 }
]
const others: readonly Figure[] = [
  { name: 'promoted', of: ({ generations }) => generations.promotedBytes, text: bytesText, least: 100_000 },
  { name: 'minor', of: ({ collections }) => collections.minor, text: countText, least: 0 },
  { name: 'major', of: ({ collections }) => collections.major, text: countText, least: 0 },
  { name: 'all pauses', of: ({ pauses }) => pauses.totalMs, text: durationText, least: 1 },
  { name: 'longest pause', of: ({ pauses }) => pauses.maxUs / 1000, text: durationText, least: 0.5 },
  { name: 'loop delay p99', of: ({ eventLoop }) => eventLoop.p99Ms, text: durationText, least: 1 },
  { name: 'time', of: ({ elapsedMs }) => elapsedMs, text: durationText, least: 5 }
]
const functionsMax = 5

export interface Comparison {
  text: string
  /** Whether the program allocates more than before, or may do so: then there are too few runs to tell. */
  isWorse: boolean
}

export function compareRuns(before: SavedRuns, reports: readonly GcReportData[]): Comparison {
  const compare = ({ of, least }: Figure) => differenceOf(before.reports.map(of), reports.map(of), least)
  const rowOf = (figure: Figure): string[] => differenceRow(figure.name, figure.text, compare(figure))
  const rows = [...allocated, ...others].map(rowOf)
  const functions = changedFunctions(before.reports, reports)
  const isWorse = allocated.some((figure) => ['more', 'unknown'].includes(compare(figure).verdict))
  const lines = [
    `medians of ${runsText(before.reports)} with Node.js ${before.node}, and of ${runsText(reports)} now`,
    ...alignedTable(rows),
    ...(functions.length > 0 ? ['functions that allocate more or less', ...alignedTable(functions)] : [])
  ]
  return { text: lines.join('\n'), isWorse }
}

const runsText = ({ length }: readonly GcReportData[]): string => (length === 1 ? '1 run' : `${length} runs`)

function differenceRow(name: string, text: (value: number) => string, difference: Difference): string[] {
  const { from, to, verdict, p } = difference
  const change = from > 0 ? `${to >= from ? '+' : '-'}${Math.abs((to / from - 1) * 100).toFixed(1)} %` : ''
  const said = {
    more: `more (p = ${p.toFixed(3)})`,
    less: `less (p = ${p.toFixed(3)})`,
    equal: 'no difference',
    unknown: 'too few runs to tell: --runs 5 on both sides'
  }[verdict]
  return [`  ${name}`, text(from), '->', text(to), change, said]
}

/** By name and file, because lines move. */
function changedFunctions(before: readonly GcReportData[], after: readonly GcReportData[]): string[][] {
  const [from, to] = [before.map(bytesByFunction), after.map(bytesByFunction)]
  const names = new Set([...from, ...to].flatMap((one) => [...one.keys()]))
  const valuesOf = (runs: readonly Map<string, number>[], name: string): number[] =>
    runs.map((run) => run.get(name) ?? 0)
  return [...names]
    .map((name) => ({ name, difference: differenceOf(valuesOf(from, name), valuesOf(to, name), 500_000) }))
    .filter(({ difference: { verdict } }) => verdict === 'more' || verdict === 'less')
    .sort((a, b) => sizeOf(b.difference) - sizeOf(a.difference))
    .slice(0, functionsMax)
    .map(({ name, difference }) => differenceRow(name, bytesText, difference))
}

const sizeOf = ({ from, to }: Difference): number => Math.abs(to - from)

function bytesByFunction({ topAllocators }: GcReportData): Map<string, number> {
  const found = new Map<string, number>()
  for (const allocator of topAllocators) {
    const file = allocator.url.slice(allocator.url.lastIndexOf('/') + 1)
    const name = `${functionText(allocator)} ${file}`.trim()
    found.set(name, (found.get(name) ?? 0) + allocator.bytes)
  }
  return found
}
