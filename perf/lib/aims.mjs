// What a section tells the head of the report: ratios of several rounds, their aim, and whether it is reached. A machine can be too noisy to
// say so; then the row is not decided, whichever side of the aim the median is on.
import { median, medianInterval } from './stats.mjs'

/**
 * @typedef {'reached' | 'missed' | 'not decided'} Decision
 * @typedef {{ what: string, value: number, low: number, high: number, aim: string, decision: Decision }} Aim
 */

/** @param {string} what @param {number[]} ratios @param {number} aim @returns {Aim} */
export const atMost = (what, ratios, aim) => aimOf(what, ratios, `≤ ${aim} ×`, (value) => value <= aim)

/** @param {string} what @param {number[]} ratios @param {number} aim @returns {Aim} */
export const atLeast = (what, ratios, aim) => aimOf(what, ratios, `≥ ${aim} ×`, (value) => value >= aim)

function aimOf(what, ratios, aim, holds) {
  const [low, high] = medianInterval(ratios)
  return { what, value: median(ratios), low, high, aim, decision: decide(ratios, holds) }
}

/**
 * Whether the median of what the values were drawn from is within a limit.
 * @param {number[]} values @param {(value: number) => boolean} holds
 * @returns {Decision}
 */
export function decide(values, holds) {
  const [low, high] = medianInterval(values)
  if (holds(low) !== holds(high)) return 'not decided'
  return holds(low) ? 'reached' : 'missed'
}
