// Pieces of Markdown, and numbers for people.

const COUNT_FORMAT = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

/** @param {string[]} head @param {unknown[][]} rows numbers and what looks like them stand to the right */
export function table(head, rows) {
  const isNumeric = (column) => rows.some((row) => /^[\d.,]+( |$)/.test(String(row[column] ?? '')))
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    line(head.map((_title, column) => (isNumeric(column) ? '---:' : '---'))),
    ...rows.map((row) => line(row.map((cell) => cell ?? '')))
  ].join('\n')
}

/** A part that readers open when they want it. */
export function details(summary, content) {
  return `<details>\n<summary>${summary}</summary>\n\n${content}\n\n</details>\n`
}

/** Microseconds with three digits; a dash when there is no number. */
export function us(value) {
  if (value === undefined || value === null) return '–'
  return `${value >= 1000 ? COUNT_FORMAT.format(value) : value.toPrecision(3)} µs`
}

/** Microseconds as what reads best. */
export function duration(value) {
  return value >= 1000 ? `${(value / 1000).toPrecision(3)} ms` : us(value)
}

export const count = (value) => COUNT_FORMAT.format(value)
export const percent = (part) => `${(part * 100).toFixed(0)} %`
