// Medians, percentiles and spreads.

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
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
