// What a program may cost at most: a file with the shape of the report, whose numbers are limits.
import { readFileSync } from 'node:fs'
import type { GcReportData } from '../gc/report.js'
import { bytesText, countText, durationText, percentText } from '../gc/text.js'
import { UsageError } from './flags.js'

/** Limits by the path of the figure in the report, such as `pauses.maxUs`. */
export type Budget = ReadonlyMap<string, number>

/** What can be limited. */
const groups: Readonly<Record<string, readonly string[]>> = {
  '': ['elapsedMs', 'heapBytes', 'externalBytes'],
  generations: ['youngBytes', 'oldBytes', 'promotedBytes'],
  collections: ['total', 'minor', 'major'],
  pauses: ['count', 'totalMs', 'share', 'meanUs', 'p50Us', 'p90Us', 'p99Us', 'p999Us', 'maxUs'],
  eventLoop: ['meanMs', 'p50Ms', 'p99Ms', 'maxMs', 'utilization']
}
const paths = Object.entries(groups).flatMap(([group, names]) =>
  names.map((name) => (group === '' ? name : `${group}.${name}`))
)

/** Throws a {@link UsageError}. */
export function readBudget(file: string): Budget {
  let given: unknown
  try {
    given = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UsageError(`--budget cannot read '${file}': ${(error as Error).message}`)
  }
  const budget = new Map<string, number>()
  for (const [path, limit] of leavesOf(given, '')) {
    if (!paths.includes(path)) {
      throw new UsageError(`the budget has '${path}', which cannot be limited; there are ${paths.join(', ')}`)
    }
    if (typeof limit !== 'number' || !(limit >= 0)) {
      throw new UsageError(`the budget's '${path}' must be a number from 0, not ${JSON.stringify(limit)}`)
    }
    budget.set(path, limit)
  }
  if (budget.size === 0)
    throw new UsageError(`the budget '${file}' limits nothing; there are ${paths.join(', ')}`)
  return budget
}

function leavesOf(value: unknown, path: string): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[path, value]]
  return Object.entries(value).flatMap(([name, inner]) =>
    leavesOf(inner, path === '' ? name : `${path}.${name}`)
  )
}

/** A sentence for each limit that the report is above. */
export function overBudget(budget: Budget, report: GcReportData & { complete: boolean }): string[] {
  const sentences: string[] = []
  for (const [path, limit] of budget) {
    const found = figureOf(report, path)
    if (found > limit) {
      sentences.push(
        `over budget: ${path} is ${figureText(path, found)}, and may be ${figureText(path, limit)}`
      )
    }
  }
  if (!report.complete) sentences.push('over budget: the report is incomplete, so that it proves nothing')
  return sentences
}

function figureOf(report: GcReportData, path: string): number {
  let value: unknown = report
  for (const name of path.split('.')) value = (value as Record<string, unknown>)[name]
  return (value as number | null) ?? 0
}

function figureText(path: string, value: number): string {
  if (path.endsWith('Bytes')) return bytesText(value)
  if (path.endsWith('Us')) return durationText(value / 1000)
  if (path.endsWith('Ms')) return durationText(value)
  return path.endsWith('share') || path.endsWith('utilization') ? percentText(value) : countText(value)
}
