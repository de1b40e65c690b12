// Plants a bug in a copy of the tree: applies a unified diff without looking at its line numbers, so that other changes do not
// matter.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The hunks of a unified diff as { file, before, after }. */
function hunksOf(patch) {
  const hunks = []
  let file = ''
  for (const line of patch.split('\n').slice(0, -1)) {
    if (line.startsWith('--- a/')) continue
    if (line.startsWith('+++ b/')) file = line.slice(6)
    else if (line.startsWith('@@')) hunks.push({ file, before: '', after: '' })
    else if (hunks.length > 0) {
      const hunk = hunks.at(-1)
      if (line[0] !== '+') hunk.before += `${line.slice(1)}\n`
      if (line[0] !== '-') hunk.after += `${line.slice(1)}\n`
    }
  }
  return hunks
}

/** Whether each hunk of the patch fits into exactly one place of the tree. */
export function applies(tree, patch) {
  return hunksOf(patch).every(
    ({ file, before }) => readFileSync(join(tree, file), 'utf8').split(before).length === 2
  )
}

/** Changes the tree and returns a function that undoes it; undefined when the patch does not apply in exactly one place. */
export function plant(tree, patch) {
  if (!applies(tree, patch)) return undefined
  const originals = new Map()
  const heal = () => {
    for (const [path, text] of originals) writeFileSync(path, text)
  }
  for (const { file, before, after } of hunksOf(patch)) {
    const path = join(tree, file)
    const text = readFileSync(path, 'utf8')
    if (!originals.has(path)) originals.set(path, text)
    writeFileSync(path, text.split(before).join(after))
  }
  return heal
}
