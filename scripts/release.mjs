// Makes the archive that is published:
//
//   npm run release [-- --check]
//
// compiles TypeScript and the engine for every target from nothing but this checkout's sources, packs them into build/release, and fails
// when a file is missing or too much, when the archive is too large, or when installing it would run a script. `--check` builds each
// binary twice. `npm publish build/release/zerio-x.y.z.tgz` sends the archive as it is.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const BYTES_MAX = 4_000_000
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const out = join(root, 'build', 'release')
/** What a package is no package without. */
const needed = ['package.json', 'README.md', 'LICENSE', 'dist/index.js', 'dist/index.mjs', 'dist/index.d.ts']
/** Folders and files at the top that may be in it. */
const allowed =
  /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|(?:dist|gc|prebuilds|addon|docs)\/.+)$/

function run(command, ...args) {
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
}

/** What is wrong with an archive of these files, as sentences. */
function faultsOf(files, size, targets) {
  const binaries = targets.map((target) => `prebuilds/${target}/zerio.node`)
  const missing = [...needed, ...binaries].filter((file) => !files.includes(file))
  const other = files.filter(
    (file) =>
      !allowed.test(file) ||
      /^addon\/build\/|^dist\/demo\/|\.map$/.test(file) ||
      (file.startsWith('prebuilds/') && !binaries.includes(file))
  )
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const hooks = ['preinstall', 'install', 'postinstall'].filter((name) => scripts[name] !== undefined)
  return [
    ...missing.map((file) => `The archive lacks ${file}.`),
    ...other.map((file) => `The archive has ${file}, which is not meant to be there.`),
    ...hooks.map((name) => `Installing it would run the script ${name}.`),
    // npm runs node-gyp by itself where it sees such a file.
    ...(files.includes('binding.gyp') ? ['Installing it would compile the engine.'] : []),
    ...(size > BYTES_MAX ? [`The archive has ${size} bytes; ${BYTES_MAX} is the limit.`] : [])
  ]
}

try {
  for (const folder of ['dist', 'prebuilds', 'build/release'])
    rmSync(join(root, folder), { recursive: true, force: true })
  run('npm', 'run', '--silent', 'build:ts')
  run(process.execPath, 'scripts/prebuilds.mjs', ...process.argv.slice(2))
  mkdirSync(out, { recursive: true })
  // Without the scripts, which would build for this machine alone.
  run('npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', out)
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const archive = join(out, `${name}-${version}.tgz`)
  if (!existsSync(archive)) throw new Error(`npm has not made ${archive}.`)
  const listed = execFileSync('tar', ['tzf', archive], { encoding: 'utf8' }).trim().split('\n')
  const files = listed.map((path) => path.replace(/^package\//, ''))
  const { size } = statSync(archive)
  const { targets } = createRequire(import.meta.url)(join(root, 'dist', 'engine', 'target.js'))
  const faults = faultsOf(files, size, targets)
  if (faults.length > 0) throw new Error(faults.join('\n'))
  console.log(`${archive}: ${files.length} files, ${size} bytes, binaries for ${targets.join(', ')}`)
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
