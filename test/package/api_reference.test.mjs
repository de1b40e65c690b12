// The typed reference: typedoc builds it without a warning, and every public name, method and parameter is in it with its words.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'zerio-reference-'))
test.after.always(() => rmSync(folder, { recursive: true }))

/** What a face of the package exports, types too. */
function exportsOf(file) {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, names]) =>
    names
      .split(',')
      .map((name) => name.replace(/\btype\b/, '').trim())
      .filter((name) => name !== '')
  )
}

test('typedoc builds the reference, and nothing public is missing or without words', async (t) => {
  const json = join(folder, 'reference.json')
  const typedoc = join(root, 'node_modules', 'typedoc', 'bin', 'typedoc')
  // Warnings are errors there, those about a public name without a comment too.
  await promisify(execFile)(process.execPath, [typedoc, '--json', json, '--out', join(folder, 'html')], {
    cwd: root
  })
  const modules = JSON.parse(readFileSync(json, 'utf8')).children
  const names = (module) => modules.find(({ name }) => name === module).children.map(({ name }) => name)
  for (const [module, file] of [
    ['index', 'src/index.ts'],
    ['gc', 'src/gc/index.ts'],
    ['gc/bench', 'src/gc/bench.ts']
  ]) {
    const expected = exportsOf(file)
    t.true(expected.length > 5, file)
    for (const name of expected) t.true(names(module).includes(name), `${module}: ${name}`)
  }
  t.regex(readFileSync(join(folder, 'html', 'index.html'), 'utf8'), /<h1[^>]*>.*zerio/s)
})
