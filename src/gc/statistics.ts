// Whether two groups of measurements differ: the exact rank test of Mann and Whitney, which assumes nothing of how they are spread.

/** `equal`: no difference was found. `unknown`: there are too few measurements to find one. */
export type Verdict = 'more' | 'less' | 'equal' | 'unknown'

export interface Difference {
  /** The medians. */
  from: number
  to: number
  /** How often chance alone makes a difference as large as this one, 0 to 1. */
  p: number
  verdict: Verdict
}

/** A verdict is wrong at most once in a hundred times. */
const pMax = 0.01
/** A smaller difference of the medians is too small to act on. */
const shareMin = 0.01

/** Compares each of `from` with each of `to`. A difference of up to `leastDifference`, in the unit of the values, does not count. */
export function differenceOf(
  from: readonly number[],
  to: readonly number[],
  leastDifference = 0
): Difference {
  const medians = { from: median(from), to: median(to) }
  const difference = medians.to - medians.from
  const { p, pLeast } = rankTest(from, to)
  const least = Math.max(leastDifference, Math.abs(medians.from) * shareMin)
  const isEqual = Math.abs(difference) <= least || (p > pMax && pLeast <= pMax)
  if (isEqual) return { ...medians, p, verdict: 'equal' }
  if (pLeast > pMax) return { ...medians, p, verdict: 'unknown' }
  return { ...medians, p, verdict: difference > 0 ? 'more' : 'less' }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

/** The two-sided p, and the smallest that so many values can have. */
function rankTest(a: readonly number[], b: readonly number[]): { p: number; pLeast: number } {
  const ranks = doubledRanks([...a, ...b])
  const sum = ranks.slice(0, a.length).reduce((all, rank) => all + rank, 0)
  const ways = waysToSum(ranks, a.length)
  const all = ways.reduce((count, some) => count + some, 0)
  const below = ways.slice(0, sum + 1).reduce((count, some) => count + some, 0)
  const above = ways.slice(sum).reduce((count, some) => count + some, 0)
  return { p: Math.min(1, (2 * Math.min(below, above)) / all), pLeast: 2 / all }
}

/** Twice the rank of each value, so that the mean rank of equal values is a whole number. */
function doubledRanks(values: readonly number[]): number[] {
  return values.map((value) => {
    const less = values.filter((other) => other < value).length
    const equal = values.filter((other) => other === value).length
    return 2 * less + equal + 1
  })
}

/** For each sum, in how many ways `count` of the ranks have it. */
function waysToSum(ranks: readonly number[], count: number): number[] {
  const most = ranks.reduce((sum, rank) => sum + rank, 0)
  const ways = Array.from({ length: count + 1 }, () => new Array<number>(most + 1).fill(0))
  ways[0][0] = 1
  for (const rank of ranks) {
    for (let chosen = count; chosen > 0; chosen--) {
      for (let sum = most; sum >= rank; sum--) ways[chosen][sum] += ways[chosen - 1][sum - rank]
    }
  }
  return ways[count]
}
