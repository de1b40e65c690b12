// Medians, percentiles and spreads.

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** A row is decided with this confidence, or a little less: with five values, the fewest, it is 93.75 %. */
const DOUBT_MAX = 0.07

/**
 * An interval that holds the median of what the values were drawn from, whatever its distribution: two of the values, equally far from both
 * ends (order statistics). Fewer than five values say nothing: then it has no ends.
 * @param {number[]} values
 * @returns {[number, number]}
 */
export function medianInterval(values) {
  const sorted = values.toSorted((left, right) => left - right)
  // How likely it is that at most `below` of the values lie below the median: that of as many heads of so many coins.
  let chance = 0.5 ** sorted.length
  let sum = 0
  let below = 0
  for (; below < sorted.length / 2; below++) {
    sum += chance
    if (2 * sum > DOUBT_MAX) break
    chance *= (sorted.length - below) / (below + 1)
  }
  return below === 0
    ? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
    : [sorted[below - 1], sorted.at(-below)]
}

/**
 * What runs have of a field, divided by what others have of it in the same round.
 * @param {Record<string, number>[]} runs
 * @param {Record<string, number>[] | undefined} others
 * @param {string} field
 */
export function ratiosWithin(runs, others, field) {
  return runs.flatMap((run, round) =>
    others?.[round] === undefined ? [] : [run[field] / others[round][field]]
  )
}

/** How far apart the values are, as a part of their median: 0.3 is 30 %. */
export function spread(values) {
  return (Math.max(...values) - Math.min(...values)) / median(values)
}

/**
 * The round trips between consecutive times, in microseconds, by nearest rank as in perf/c/pingpong.c.
 * @param {Float64Array} timesNs one more than there are round trips; overwritten
 */
export function roundTripPercentiles(timesNs) {
  const count = timesNs.length - 1
  for (let i = 0; i < count; i++) timesNs[i] = timesNs[i + 1] - timesNs[i]
  const sortedNs = timesNs.subarray(0, count).sort()
  const percentileUs = (perThousand) => sortedNs[Math.ceil((count * perThousand) / 1000) - 1] / 1000
  return {
    p50Us: percentileUs(500),
    p99Us: percentileUs(990),
    p999Us: percentileUs(999),
    maxUs: percentileUs(1000)
  }
}
