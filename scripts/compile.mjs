// Builds a C++ program of the tests with the compiler alone: only what has changed, as many files at once as there are processors.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const warnings = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-Wshadow', '-Wconversion', '-Wno-unused-parameter']
warnings.push('-Wno-missing-field-initializers')

/** The engine without Node.js and without an operating system's I/O. */
export const engineSources = [
  'addon/engine/engine.cc',
  'addon/engine/handshake.cc',
  'addon/io/address_posix.cc'
]

/** All C++ files of a folder. */
export function sourcesOf(root, folder) {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.cc'))
    .map((name) => join(folder, name))
}

function newestHeader(root) {
  const times = ['addon', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((name) => name.endsWith('.h'))
      .map((name) => statSync(join(root, folder, name)).mtimeMs)
  )
  return Math.max(...times)
}

/**
 * Compiles `sources` of the tree `root` and links them into `folder`/`name`. Returns the program's path; throws an Error that holds
 * what the compiler said.
 */
export async function compile(root, { name, folder, sources, flags = [], compiler = process.env.CXX ?? 'g++' }) {
  mkdirSync(folder, { recursive: true })
  const headers = newestHeader(root)
  const objectOf = (source) => join(folder, `${basename(source, '.cc')}.o`)
  const stale = sources.filter((source) => {
    const object = objectOf(source)
    if (!existsSync(object)) return true
    const made = statSync(object).mtimeMs
    return made < headers || made < statSync(join(root, source)).mtimeMs
  })
  const program = join(folder, name)
  if (stale.length === 0 && existsSync(program)) return program
  rmSync(program, { force: true })
  const worker = async () => {
    for (let source = stale.pop(); source !== undefined; source = stale.pop())
      await run(
        compiler,
        ['-std=c++20', '-g', ...warnings, ...flags, '-c', join(root, source), '-o', objectOf(source)],
        {
          maxBuffer: 1 << 26
        }
      )
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  await run(compiler, [...flags, ...sources.map(objectOf), '-o', program])
  return program
}
