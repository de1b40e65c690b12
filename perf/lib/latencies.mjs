// Latencies as HdrHistogram keeps them: read from the files that the measured programs write, summed up, and written as
// .hgrm files (HdrHistogram's percentile distribution, in microseconds) for the usual plotters.
import { readFileSync, rmSync } from 'node:fs'
import { createHistogram } from 'node:perf_hooks'

const SIGNIFICANT_DIGITS = 3
const HIGHEST_NS = 3_600e9
const TICKS_PER_HALF_DISTANCE = 5
/**
 * Of how many messages in a row a p99 is taken that is to be compared: a shared machine takes a processor away for milliseconds now
 * and then, and one such moment decides the p99 of a whole run; it does not decide the median of the p99s of its windows.
 */
export const WINDOW_SAMPLES = 500
const SUMMARY = { p50Us: 50, p90Us: 90, p99Us: 99, p999Us: 99.9, p9999Us: 99.99 }

export const emptyHistogram = () =>
  createHistogram({ lowest: 1, highest: HIGHEST_NS, figures: SIGNIFICANT_DIGITS })

/** Records a file of float64 nanoseconds, and removes it. Returns the p99 of each of its windows, in microseconds. */
export function recordFile(histogram, file) {
  const bytes = readFileSync(file)
  const values = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8)
  for (const value of values) histogram.record(Math.max(1, Math.round(value)))
  rmSync(file)
  const samples = Math.min(WINDOW_SAMPLES, values.length)
  return Array.from({ length: Math.floor(values.length / samples) }, (_, i) => {
    const window = values.slice(i * samples, (i + 1) * samples).sort()
    return window[Math.ceil(samples * 0.99) - 1] / 1000
  })
}

/** p50 to p99.99 and the maximum in microseconds; a percentile that fewer than ten samples exceed is left out. */
export function summaryOf(histogram) {
  const summary = { count: histogram.count, maxUs: histogram.max / 1000 }
  for (const [name, percentile] of Object.entries(SUMMARY)) {
    if (histogram.count * (1 - percentile / 100) >= 1) summary[name] = histogram.percentile(percentile) / 1000
  }
  return summary
}

/** The percentiles at which HdrHistogram reports: the closer to 100, the closer to each other. */
function* reportedPercentiles(count) {
  for (let percentile = 0; ; ) {
    yield percentile
    const halfDistance = 2 ** (Math.floor(Math.log2(100 / (100 - percentile))) + 1)
    percentile += 100 / (TICKS_PER_HALF_DISTANCE * halfDistance)
    if (100 / (100 - percentile) > count) return
  }
}

/** Points of the curve, for charts. */
export function curveOf(histogram) {
  return [...reportedPercentiles(histogram.count)].map((percentile) => ({
    inverse: 100 / (100 - percentile),
    us: histogram.percentile(Math.max(percentile, 1e-9)) / 1000
  }))
}

/** @returns {string} the content of a .hgrm file */
export function hgrmOf(histogram) {
  const { count } = histogram
  const us = (ns) => (ns / 1000).toFixed(3).padStart(12)
  const line = (ns, percentile, below, inverse) =>
    `${us(ns)} ${(percentile / 100).toFixed(12)} ${String(below).padStart(10)} ${inverse}`
  const lines = [`${'Value'.padStart(12)} ${'Percentile'.padStart(14)} TotalCount 1/(1-Percentile)`, '']
  for (const percentile of reportedPercentiles(count)) {
    const value = histogram.percentile(Math.max(percentile, 1e-9))
    const below = Math.max(1, Math.ceil((percentile / 100) * count))
    lines.push(line(value, percentile, below, (100 / (100 - percentile)).toFixed(2).padStart(14)))
  }
  lines.push(line(histogram.max, 100, count, 'inf'.padStart(14)))
  lines.push(`#[Mean    = ${us(histogram.mean)}, StdDeviation   = ${us(histogram.stddev)}]`)
  lines.push(`#[Max     = ${us(histogram.max)}, Total count    = ${String(count).padStart(12)}]`)
  return `${lines.join('\n')}\n`
}
