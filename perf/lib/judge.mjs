// Turns the numbers of all repetitions into medians, and the medians into verdicts on the targets.
import { decide } from './aims.mjs'
import { median, ratiosWithin, spread } from './stats.mjs'

const NOISY_SPREAD = 0.3

/**
 * @typedef {object} Measurement one program's numbers
 * @property {string} program
 * @property {string} unit
 * @property {number} median of the number that is compared
 * @property {number[]} values of that number, one per repetition
 * @property {number} spread
 * @property {number} [p99Us] median
 * @property {boolean} isNoisy the repetitions differ too much
 */

/**
 * @param {string} program
 * @param {import('./programs.mjs').MeasuredProgram} description
 * @param {Record<string, number>[]} results one per repetition, at least one
 * @returns {Measurement}
 */
export function measurementOf(program, { metric, unit }, results) {
  const values = results.map((result) => result[metric])
  const p99s = results.flatMap((result) => result.p99Us ?? [])
  return {
    program,
    unit,
    median: median(values),
    values,
    spread: spread(values),
    p99Us: p99s.length === 0 ? undefined : median(p99s),
    isNoisy: spread(values) > NOISY_SPREAD
  }
}

/**
 * @typedef {object} Verdict
 * @property {import('./targets.mjs').Target} target
 * @property {number | null} value null: something it needs failed to run
 * @property {number[]} values of which it is the median, one per repetition
 * @property {string} unit
 * @property {import('./aims.mjs').Decision | null} decision null: there is no limit, or no value
 * @property {string} note
 */

/**
 * @param {import('./targets.mjs').Target} target
 * @param {Record<string, import('./programs.mjs').MeasuredProgram>} programs
 * @param {Map<string, Record<string, number>[]>} results of the programs that ran
 * @returns {Verdict}
 */
export function judge(target, programs, results) {
  const failed = [target.program, target.reference].find((name) => name !== undefined && !results.has(name))
  if (failed !== undefined)
    return { target, value: null, values: [], unit: '', decision: null, note: `${failed} failed` }
  const own = programs[target.program]
  const metric = target.metric ?? own.metric
  const runs = results.get(target.program)
  if (target.reference === undefined) {
    const values = runs.map((result) => result[metric])
    // What runs once is counted, not measured.
    const decision = own.runsOnce ? decideOnce(target, values[0]) : decideOn(target, values)
    return { target, value: median(values), values, unit: target.unit ?? own.unit, decision, note: '' }
  }
  const references = results.get(target.reference)
  const ratios = ratiosWithin(runs, references, metric)
  const noisy = [
    measurementOf(target.program, { ...own, metric }, runs),
    measurementOf(target.reference, { ...programs[target.reference], metric }, references)
  ].filter(({ isNoisy }) => isNoisy)
  const note = noisy.map(({ program, spread }) => `${program} varies by ${percent(spread)}`).join(', ')
  return {
    target,
    value: median(ratios),
    values: ratios,
    unit: '×',
    decision: decideOn(target, ratios),
    note: note && `noisy: ${note}`
  }
}

function holdsFor({ atMost, atLeast }) {
  if (atMost !== undefined) return (value) => value <= atMost
  return atLeast === undefined ? undefined : (value) => value >= atLeast
}

function decideOn(target, values) {
  const holds = holdsFor(target)
  return holds === undefined ? null : decide(values, holds)
}

function decideOnce(target, value) {
  const holds = holdsFor(target)
  if (holds === undefined) return null
  return holds(value) ? 'reached' : 'missed'
}

export const percent = (part) => `${(part * 100).toFixed(0)} %`
