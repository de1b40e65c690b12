// Shows measurements and verdicts as tables for people.
import Table from 'cli-table3'
import { labelOf, limitOf } from './targets.mjs'

const COUNT_FORMAT = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const QUIET = {
  style: { head: [], border: [] },
  chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' }
}

/** @param {import('./judge.mjs').Measurement[]} measurements */
export function measurementTable(measurements) {
  const table = new Table({
    ...QUIET,
    head: ['program', 'median run', 'lowest', 'highest', 'spread', 'p99'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right']
  })
  for (const { program, unit, median, values, spread, p99Us } of measurements) {
    const shown = (value) => number(value, unit)
    table.push([
      program,
      `${shown(median)} ${unit}`.trim(),
      shown(Math.min(...values)),
      shown(Math.max(...values)),
      values.length > 1 && median !== 0 ? `${(spread * 100).toFixed(0)} %` : '',
      p99Us === undefined ? '' : `${p99Us.toFixed(1)} µs`
    ])
  }
  return table.toString()
}

/** @param {import('./judge.mjs').Verdict[]} verdicts */
export function verdictTable(verdicts) {
  const table = new Table({
    ...QUIET,
    head: ['target', 'what', 'ratio or value', 'limit', '', 'note'],
    colAligns: ['left', 'left', 'right', 'right', 'left', 'left']
  })
  for (const { target, value, unit, decision, note } of verdicts) {
    table.push([
      target.name,
      target.reference === undefined ? labelOf(target) : `${labelOf(target)} / ${target.reference}`,
      value === null ? '' : `${number(value, target.reference === undefined ? unit : '')} ${unit}`.trim(),
      limitOf(target),
      decision === 'missed' ? 'MISSED' : (decision ?? ''),
      note
    ])
  }
  return table.toString()
}

/** @param {number} value @param {string} unit */
export function number(value, unit) {
  if (unit === 'msg/s') return COUNT_FORMAT.format(value)
  if (unit === 'per message') return value.toFixed(4)
  return Number.isInteger(value) ? String(value) : value.toFixed(2)
}
