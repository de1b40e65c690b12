// Tests the tests: plants each bug of test/mutations in a copy of the engine and runs the simulation, which must find it.
//
//   npm run test:mutations [-- name …]
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compile, engineSources, sourcesOf } from './compile.mjs'

const SEEDS_MAX = 1000
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const patches = join(root, 'test', 'mutations')

/** The hunks of a unified diff as { file, before, after }: line numbers are not looked at, so that other changes do not matter. */
function hunksOf(patch) {
  const hunks = []
  let file = ''
  for (const line of patch.split('\n').slice(0, -1)) {
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

/** Changes the tree and returns a function that undoes it; undefined when the patch does not apply in exactly one place. */
function plant(tree, patch) {
  const originals = new Map()
  for (const { file, before, after } of hunksOf(patch)) {
    const path = join(tree, file)
    const text = readFileSync(path, 'utf8')
    if (!originals.has(path)) originals.set(path, text)
    const parts = text.split(before)
    if (parts.length !== 2) return undefined
    writeFileSync(path, parts.join(after))
  }
  return () => {
    for (const [path, text] of originals) writeFileSync(path, text)
  }
}

const tree = mkdtempSync(join(tmpdir(), 'zerio-mutations-'))
for (const folder of ['addon', join('test', 'simulation')])
  cpSync(join(root, folder), join(tree, folder), { recursive: true })
const build = () =>
  compile(tree, {
    name: 'simulation',
    folder: join(tree, 'build'),
    sources: [...engineSources, ...sourcesOf(tree, join('test', 'simulation'))],
    flags: ['-O1', '-Wno-error']
  })

/** What became of one planted bug. */
async function verdictOf(name) {
  const patch = readFileSync(join(patches, `${name}.patch`), 'utf8')
  const heal = plant(tree, patch)
  if (heal === undefined) return { found: false, text: 'the patch does not apply any more' }
  try {
    const program = await build()
    const { status, stdout } = spawnSync(program, ['--seeds', `${SEEDS_MAX}`], { encoding: 'utf8' })
    const lines = stdout.trim().split('\n')
    if (status === 0) return { found: false, text: `survived ${SEEDS_MAX} seeds` }
    const seed = /--seed (\d+)/.exec(stdout)?.[1] ?? '?'
    const promise =
      lines.find((line) => !line.startsWith('Replay'))?.replace(/^.*breaks a promise: /, '') ?? ''
    return { found: true, text: `seed ${seed}: ${promise}` }
  } finally {
    heal()
  }
}

let failed = 0
try {
  const asked = process.argv.slice(2)
  const names = readdirSync(patches)
    .filter((name) => name.endsWith('.patch'))
    .map((name) => basename(name, '.patch'))
    .filter((name) => asked.length === 0 || asked.includes(name))
  const { status, stdout } = spawnSync(await build(), ['--seeds', '20'], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`The engine breaks promises before a bug is planted:\n${stdout}`)
  for (const name of names) {
    const { found, text } = await verdictOf(name)
    if (!found) failed++
    console.log(`${found ? 'found    ' : 'NOT FOUND'} ${name.padEnd(26)} ${text}`)
  }
  console.log(`${names.length - failed} of ${names.length} planted bugs were found.`)
  if (names.length === 0) failed = 1
} finally {
  rmSync(tree, { recursive: true })
}
process.exit(failed === 0 ? 0 : 1)
