// Builds a C++ program of the tests with the compiler alone: only what has changed, as many files at once as there are processors.
import { execFile } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

async function run(compiler, args) {
  try {
    await execute(compiler, args, { maxBuffer: 1 << 26 })
  } catch (error) {
    throw new Error(`${compiler} failed:\n${error.stderr || error.message}`)
  }
}

const warnings = [
  '-Wall',
  '-Wextra',
  '-Wpedantic',
  '-Werror',
  '-Wshadow',
  '-Wconversion',
  '-Wno-unused-parameter'
]
warnings.push('-Wno-missing-field-initializers')

/** The engine without Node.js and without an operating system's I/O. */
export const engineSources = [
  'addon/engine/engine.cc',
  'addon/engine/engine_ending.cc',
  'addon/engine/engine_limits.cc',
  'addon/engine/engine_memory.cc',
  'addon/engine/engine_opening.cc',
  'addon/engine/engine_sending.cc',
  'addon/engine/engine_sharing.cc',
  'addon/engine/engine_sessions.cc',
  'addon/engine/engine_topics.cc',
  'addon/engine/engine_time.cc',
  'addon/engine/handshake.cc',
  'addon/engine/sip_hash.cc',
  'addon/io/posix/address.cc'
]

/** All C++ files of a folder. */
export function sourcesOf(root, folder) {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.cc'))
    .map((name) => join(folder, name))
}

/** The description of the simulation of the tree `root`, for `compile`. */
export function simulationOf(root, { folder = join(root, 'build', 'simulation'), flags = ['-O2'] } = {}) {
  return {
    name: 'simulation',
    folder,
    sources: [...engineSources, ...sourcesOf(root, join('lab', 'simulation'))],
    flags
  }
}

const objectsIn = (folder) => readdirSync(folder).filter((name) => name.endsWith('.o'))

/**
 * Copies what `compile` has made of the tree `root` in `folder` to the folder of `copy`, a copy of the tree whose files have kept their
 * times: only files that change there are compiled again. The flags of `copy` may differ in warnings alone.
 */
export function copyObjects(root, folder, copy) {
  mkdirSync(copy.folder, { recursive: true })
  for (const name of objectsIn(folder)) {
    copyFileSync(join(folder, name), join(copy.folder, name))
    const rules = name.replace(/\.o$/, '.d')
    writeFileSync(
      join(copy.folder, rules),
      readFileSync(join(folder, rules), 'utf8').replaceAll(`${root}/`, `${copy.root}/`)
    )
  }
  writeFileSync(join(copy.folder, 'flags.txt'), stampOf(copy.flags))
}

/** What tells whether all objects of a folder were made in the same way. */
function stampOf(flags, compiler = process.env.CXX ?? 'g++') {
  return JSON.stringify([compiler, ...flags])
}

/** Whether an object is missing, or older than something that it was made from. */
function isStale(object, rules) {
  if (!existsSync(object) || !existsSync(rules)) return true
  const made = statSync(object).mtimeMs
  const files = readFileSync(rules, 'utf8')
    .replace(/^[^:]*:/, '')
    .split(/[\s\\]+/)
    .filter((file) => file !== '')
  return files.some((file) => !existsSync(file) || statSync(file).mtimeMs > made)
}

/**
 * Compiles `sources` of the tree `root` and links them into `folder`/`name`. Returns the program's path; throws an Error that holds
 * what the compiler said. `linkFlags` stand behind the objects.
 */
export async function compile(
  root,
  { name, folder, sources, flags = [], linkFlags = [], compiler = process.env.CXX ?? 'g++' }
) {
  mkdirSync(folder, { recursive: true })
  const objectOf = (source) => join(folder, `${source.replaceAll(/[\\/]/g, '-')}.o`)
  const rulesOf = (source) => objectOf(source).replace(/\.o$/, '.d')
  const stamp = join(folder, 'flags.txt')
  const all = stampOf(flags, compiler)
  const changed = !existsSync(stamp) || readFileSync(stamp, 'utf8') !== all
  // Those of the folder's other programs, too: with the new stamp they would look as if they had been made in the same way.
  if (changed) for (const object of objectsIn(folder)) rmSync(join(folder, object))
  const stale = sources.filter((source) => isStale(objectOf(source), rulesOf(source)))
  const program = join(folder, name)
  const made = existsSync(program) ? statSync(program).mtimeMs : 0
  // Another program of this folder may have made an object anew.
  if (stale.length === 0 && sources.every((source) => statSync(objectOf(source)).mtimeMs <= made))
    return program
  rmSync(program, { force: true })
  const worker = async () => {
    for (let source = stale.pop(); source !== undefined; source = stale.pop())
      await run(compiler, [
        ...['-std=c++20', '-g', '-MMD', ...warnings, ...flags],
        ...['-c', join(root, source), '-o', objectOf(source)]
      ])
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  if (changed) writeFileSync(stamp, all)
  await run(compiler, [...flags, ...sources.map(objectOf), '-o', program, ...linkFlags])
  return program
}
