// Numbers and tables as plain text, for the reports of probes and of the command line.

/** Columns two spaces apart: the first flush left, and the others too, as they hold words as well as numbers. */
export function alignedTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd()
  )
}

export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** Decimal units: 1 kB is 1,000 bytes. */
export function bytesText(bytes: number): string {
  if (bytes < 999.5) return `${shortText(bytes)} B`
  if (bytes < 999.5e3) return `${shortText(bytes / 1e3)} kB`
  return bytes < 999.5e6 ? `${shortText(bytes / 1e6)} MB` : `${shortText(bytes / 1e9)} GB`
}

export function durationText(ms: number): string {
  if (ms > 0 && ms < 0.0009995) return `${shortText(ms * 1e6)} ns`
  if (ms < 0.9995) return `${shortText(ms * 1000)} us`
  return ms < 999.5 ? `${shortText(ms)} ms` : `${shortText(ms / 1000)} s`
}

export function percentText(part: number): string {
  return `${(part * 100).toFixed(1)} %`
}

/** Where a function is: the path from the current folder where it is below it. */
export function placeText({ url, line }: { url: string; line: number }): string {
  if (url === '') return ''
  const path = url.startsWith('file://') ? decodeURIComponent(url.slice('file://'.length)) : url
  const folder = `${process.cwd()}/`
  return `${path.startsWith(folder) ? path.slice(folder.length) : path}:${line}`
}

/** The name of a function, as far as it has one. */
export function functionText({ functionName, url }: { functionName: string; url: string }): string {
  return functionName || (url === '' ? '(V8)' : '(anonymous)')
}

/** Three digits, more for whole numbers above. */
function shortText(value: number): string {
  if (value === 0) return '0'
  if (value >= 99.95) return countText(value)
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2)
}
