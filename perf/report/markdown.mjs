// Pieces of Markdown, and numbers for people.

const COUNT_FORMAT = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

/** @param {string[]} head @param {unknown[][]} rows columns of numbers, with units or without, stand to the right */
export function table(head, rows) {
  const isNumeric = (column) => {
    const cells = rows.map((row) => String(row[column] ?? '')).filter((cell) => cell !== '' && cell !== '–')
    return cells.length > 0 && cells.every((cell) => /^[\d.,]+( \S+)?$/.test(cell))
  }
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    line(head.map((_title, column) => (isNumeric(column) ? '---:' : '---'))),
    ...rows.map((row) => line(row.map((cell) => cell ?? '')))
  ].join('\n')
}

/** Microseconds with three digits; a dash when there is no number. */
export function us(value) {
  if (value === undefined || value === null) return '–'
  return `${value >= 1000 ? COUNT_FORMAT.format(value) : value.toPrecision(3)} µs`
}

/** @param {import('../lib/aims.mjs').Decision | null | undefined} decision */
export const marked = (decision) => (decision === 'missed' ? '**missed**' : (decision ?? ''))

/** How often each program ran. */
export const repeated = (repetitions) =>
  repetitions === 1 ? 'one run of each program' : `medians of ${repetitions} interleaved repetitions`

export const count = (value) => COUNT_FORMAT.format(value)
export const percent = (part) => `${(part * 100).toFixed(0)} %`

/** One figure divided by another; empty without one of them. */
export const times = (value, reference) =>
  (value ?? null) === null || (reference ?? null) === null ? '' : `${(value / reference).toFixed(2)} ×`

const FAILURE_LENGTH_MAX = 200

/** Everything that did not run, as a list: the first line of each message, because some have a stack. */
export const failed = (failures) =>
  Object.entries(failures).map(([name, message]) => {
    const [line] = message.split('\n', 1)
    return `- ${name} failed: ${line.length > FAILURE_LENGTH_MAX ? `${line.slice(0, FAILURE_LENGTH_MAX)} …` : line}`
  })
