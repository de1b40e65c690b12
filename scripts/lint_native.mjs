// Formats (--write) or checks the C++ files with clang-format, and lints them with clang-tidy where that is installed.
// The compiler's own warnings are errors in every build (addon/binding.gyp), so a machine without clang-tidy still has a linter.
// clang-tidy takes a minute for all of them, so a file that was clean is linted again only when it, a header or the checks change.
import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const write = process.argv.includes('--write')
const filesOf = (...folders) =>
  folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map((name) => join(root, folder, name))
    )
    .filter((name) => /\.(cc|h)$/.test(name))
const files = filesOf('addon', join('test', 'native'))

function readCache(name) {
  try {
    return JSON.parse(readFileSync(name, 'utf8'))
  } catch {
    return []
  }
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  if (result.status === 0) return
  process.stderr.write(`${result.stdout}${result.stderr}`)
  process.exit(1)
}

run(process.execPath, [
  require.resolve('clang-format/index.js'),
  ...(write ? ['-i'] : ['--dry-run', '-Werror']),
  ...files,
  // These have the compiler's warnings alone: clang-tidy would take longer for them than for the product.
  ...filesOf(join('lab', 'simulation'), join('lab', 'fuzz'))
])

if (!write) {
  const nodeApi = dirname(require.resolve('node-addon-api/package.json'))
  const headers = join(dirname(dirname(process.execPath)), 'include', 'node')
  const flags = ['-std=c++20', '-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS']
  // Linux has no <sys/event.h>.
  flags.push('-isystem', join(root, 'test', 'native', 'kqueue'))
  // Windows' own files need its headers, which clang-tidy has not; the cross-compiler's warnings are errors.
  const windows = /\/io\/windows\/|_windows\.cc$/
  const cache = join(root, 'build', 'clang-tidy.json')
  const hashOf = (names, before = '') => {
    const hash = createHash('sha256').update(before)
    for (const name of names) hash.update(readFileSync(name))
    return hash.digest('hex')
  }
  const common = hashOf(
    [...files.filter((name) => name.endsWith('.h')), join(root, '.clang-tidy')],
    flags.join()
  )
  const clean = new Set(readCache(cache))
  const hashes = new Map(
    files
      .filter((name) => name.endsWith('.cc') && !windows.test(name))
      .map((name) => [name, hashOf([name], common + name)])
  )
  const sources = [...hashes.keys()].filter((name) => !clean.has(hashes.get(name)))
  const lint = (source) =>
    new Promise((resolve, reject) => {
      const args = ['--quiet', source, '--', ...flags, '-isystem', nodeApi, '-isystem', headers]
      execFile('clang-tidy', args, { cwd: root }, (error, stdout) => {
        if (error?.code === 'ENOENT') return reject(error)
        if (!error) clean.add(hashes.get(source))
        resolve(error ? stdout : '')
      })
    })
  try {
    let complaints = ''
    const worker = async () => {
      for (let source = sources.pop(); source !== undefined; source = sources.pop())
        complaints += await lint(source)
    }
    await Promise.all(Array.from({ length: availableParallelism() }, worker))
    mkdirSync(dirname(cache), { recursive: true })
    // What is not of these files any more goes.
    writeFileSync(cache, JSON.stringify([...hashes.values()].filter((hash) => clean.has(hash))))
    if (complaints !== '') {
      process.stderr.write(complaints)
      process.exit(1)
    }
  } catch {
    console.log(
      'clang-tidy is not installed: the C++ files were checked by the compiler and clang-format only.'
    )
  }
}
