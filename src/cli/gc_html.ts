// Text in HTML. What comes from the measured program must never become a part of the page.

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;'
}

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character])
}

/** A table; the first row is its head. Columns of numbers stand right. */
export function htmlTable([head, ...rows]: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell, i) => cellHtml(cell, tag, isNumber(rows[0][i]))).join('')}</tr>`
  return `<table><thead>${row(head, 'th')}</thead><tbody>${rows.map((cells) => row(cells, 'td')).join('')}</tbody></table>`
}

function cellHtml(text: string, tag: string, isRight: boolean): string {
  return `<${tag}${isRight ? ' class="number"' : ''}>${escapeHtml(text)}</${tag}>`
}

const isNumber = (cell: string): boolean => /^[\d.,]+( \S+)?$/.test(cell)
