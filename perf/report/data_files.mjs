// The data files of one report: every figure that was measured, as CSV beside the charts, for readers who want more than the page.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const DIGITS = 4

/** A measured figure without the digits that mean nothing. */
export function rounded(value) {
  if (value === undefined || value === null) return undefined
  return value >= 10 ** (DIGITS - 1) ? Math.round(value) : Number(value.toPrecision(DIGITS))
}

export class DataFiles {
  #folder
  #files = new Map()

  /** @param {string} folder for the files, beside the page */
  constructor(folder) {
    this.#folder = folder
  }

  /** @param {string} name of the file @param {Record<string, unknown>[]} rows all with the same names, which head the columns */
  add(name, rows) {
    if (rows.length > 0) this.#files.set(name, rows)
  }

  /** The sentence that leads to a file; empty when there is none. */
  link(name) {
    if (!this.#files.has(name)) return ''
    return `All figures: [${name}.csv](${basename(this.#folder)}/${name}.csv).`
  }

  /** Writes all files, and removes those of a run before that this one does not have. */
  write() {
    mkdirSync(this.#folder, { recursive: true })
    for (const name of readdirSync(this.#folder)) if (name.endsWith('.csv')) rmSync(join(this.#folder, name))
    for (const [name, rows] of this.#files) writeFileSync(join(this.#folder, `${name}.csv`), csvOf(rows))
  }
}

/** The rows of a file, as `add` was given them, but with text in all cells. */
export function readDataFile(folder, name) {
  const [head, ...lines] = readFileSync(join(folder, `${name}.csv`), 'utf8')
    .trimEnd()
    .split('\n')
  const names = cellsOf(head)
  return lines.map((line) => Object.fromEntries(cellsOf(line).map((cell, column) => [names[column], cell])))
}

function csvOf(rows) {
  const names = Object.keys(rows[0])
  const lines = rows.map((row) => names.map((name) => cellOf(row[name])).join(','))
  return `${[names.join(','), ...lines].join('\n')}\n`
}

function cellOf(value) {
  const text = String(value ?? '')
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function cellsOf(line) {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,"]*))/g)].map(([, quoted, plain]) =>
    quoted === undefined ? plain : quoted.replaceAll('""', '"')
  )
}
