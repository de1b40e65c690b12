// Turns the numbers of all repetitions into medians, and the medians into verdicts on the targets.
import { median, spread } from './stats.mjs'

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
 * @property {string} unit
 * @property {boolean | null} passes null: there is no limit, or no value
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
  if (failed !== undefined) return { target, value: null, unit: '', passes: null, note: `${failed} failed` }
  const own = programs[target.program]
  if (target.reference === undefined) {
    const metric = target.metric ?? own.metric
    const value = median(results.get(target.program).map((result) => result[metric]))
    return { target, value, unit: target.unit ?? own.unit, passes: reaches(target, value), note: '' }
  }
  const [subject, reference] = [target.program, target.reference].map((name) =>
    measurementOf(
      name,
      { ...programs[name], metric: target.metric ?? programs[name].metric },
      results.get(name)
    )
  )
  const ratio = subject.median / reference.median
  const noisy = [subject, reference].filter(({ isNoisy }) => isNoisy)
  const note = noisy.map(({ program, spread }) => `${program} varies by ${percent(spread)}`).join(', ')
  return { target, value: ratio, unit: '×', passes: reaches(target, ratio), note: note && `noisy: ${note}` }
}

function reaches({ atMost, atLeast }, value) {
  if (atMost !== undefined) return value <= atMost
  return atLeast === undefined ? null : value >= atLeast
}

export const percent = (part) => `${(part * 100).toFixed(0)} %`
