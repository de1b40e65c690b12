// Installs the packed package with every package manager, with and without scripts, rebuilds it, and runs a program that uses it; then
// as a user who may write nothing, and built from source. The managers come from npm's registry; the results are printed as TAP.
//
//   npm run test:packages [-- part of a name …]
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { userEnvironment } from './user_environment.mjs'
import { userProgram } from './user_program.mjs'

const TIMEOUT_MS = 300_000
const UNPRIVILEGED = 65_534
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'zerio-packages-')))
const env = userEnvironment()

/** What a command says on both streams; throws that when it fails. */
function run(cwd, [command, ...args], options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    ...options
  })
  if (status !== 0)
    throw new Error(`${[command, ...args].join(' ')}\n${error?.message ?? ''}${stdout ?? ''}${stderr ?? ''}`)
  return stdout
}

function project(name, files = {}) {
  const path = join(folder, name)
  mkdirSync(path)
  const all = {
    'package.json': '{"name":"app","version":"1.0.0","private":true}',
    'main.cjs': userProgram('require'),
    ...files
  }
  for (const [file, text] of Object.entries(all)) writeFileSync(join(path, file), text)
  return path
}

function works(cwd, options = {}, flags = []) {
  const said = run(cwd, [process.execPath, ...flags, 'main.cjs'], options)
  if (!said.startsWith('oui ')) throw new Error(`The program said ${JSON.stringify(said)}`)
}

const npx = (name, command = name.split('@')[0]) => ['npx', '--yes', '--package', name, command]
const npm = ['npm', '--no-audit', '--no-fund', '--no-update-notifier']
const pnpmStore = { '.npmrc': `store-dir=${join(folder, 'pnpm-store')}\n` }
const yarnCache = ['--cache-folder', join(folder, 'yarn-cache')]
const yarn4 = (linker) => ({
  add: (archive) => [...npx('@yarnpkg/cli-dist@4', 'yarn'), 'add', `zerio@file:${archive}`],
  rebuild: [...npx('@yarnpkg/cli-dist@4', 'yarn'), 'rebuild'],
  files: (scripts) => ({
    'yarn.lock': '',
    '.yarnrc.yml': `nodeLinker: ${linker}\nenableGlobalCache: false\nenableImmutableInstalls: false\nenableTelemetry: false\nenableScripts: ${scripts}\n`
  }),
  flags: linker === 'pnp' ? ['--require', './.pnp.cjs'] : []
})

/** How each one installs an archive, and makes what its scripts make once more. A flag or a file of the project forbids scripts. */
const managers = {
  npm: { add: (archive) => [...npm, 'install', archive], rebuild: [...npm, 'rebuild'] },
  'pnpm 9': {
    add: (archive) => [...npx('pnpm@9'), 'add', archive],
    rebuild: [...npx('pnpm@9'), 'rebuild'],
    files: () => pnpmStore
  },
  // From version 10 on it runs only the scripts of packages that the project names.
  'pnpm 10': {
    add: (archive) => [...npx('pnpm@10'), 'add', archive],
    rebuild: [...npx('pnpm@10'), 'rebuild'],
    files: (scripts) => ({
      ...pnpmStore,
      'package.json': JSON.stringify({
        name: 'app',
        private: true,
        pnpm: { onlyBuiltDependencies: scripts ? ['zerio'] : [] }
      })
    })
  },
  'yarn 1': {
    add: (archive) => [...npx('yarn@1.22'), 'add', ...yarnCache, `file:${archive}`],
    rebuild: [...npx('yarn@1.22'), 'install', '--force', ...yarnCache]
  },
  // It runs only the scripts of packages that the project names.
  bun: {
    add: (archive) => [...npx('bun@1'), 'add', archive],
    rebuild: [...npx('bun@1'), 'install', '--force'],
    files: (scripts) => ({
      'package.json': JSON.stringify({ name: 'app', trustedDependencies: scripts ? ['zerio'] : [] })
    })
  },
  'yarn 4': yarn4('node-modules'),
  'yarn 4 without node_modules': yarn4('pnp')
}

function installAndRebuild(archive, name, scripts) {
  const { add, rebuild, files = () => ({}), flags = [] } = managers[name]
  // No manager and no loader may mind where a project is.
  const cwd = project(`${name} žluťoučký 日本語 ${scripts ? 'with' : 'without'} scripts`, files(scripts))
  // Version 4 of yarn is set up with a file instead.
  const without = scripts || name.startsWith('yarn 4') ? [] : ['--ignore-scripts']
  run(cwd, [...add(archive), ...without])
  works(cwd, {}, flags)
  run(cwd, rebuild)
  works(cwd, {}, flags)
}

function change(path, mode) {
  run(folder, ['chmod', '-R', mode, path])
}

/** Another user runs it, who may write neither the package nor the folder of the program. */
function readOnly(archive) {
  const cwd = project('read only')
  run(cwd, [...npm, 'install', archive])
  change(cwd, 'a-w,a+rX')
  try {
    works(cwd, process.getuid() === 0 ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {})
  } finally {
    change(cwd, 'u+w')
  }
}

/** The binary of a machine that the package has none for, as the README says. */
function fromSource(archive) {
  const cwd = project('source')
  run(cwd, [...npm, 'install', archive])
  const installed = join(cwd, 'node_modules', 'zerio')
  renameSync(join(installed, 'prebuilds'), join(cwd, 'prebuilds'))
  let refusal = ''
  try {
    works(cwd)
  } catch ({ message }) {
    refusal = message
  }
  const command = 'npx node-gyp rebuild -C node_modules/zerio/addon'
  if (!refusal.includes('ZERIO_NO_BINARY') || !refusal.includes(command)) throw new Error(refusal)
  const [npxCommand, ...args] = command.split(' ')
  run(cwd, [npxCommand, '--yes', ...args])
  works(cwd)
  run(cwd, [...npm, 'rebuild'])
  works(cwd)
}

function pack() {
  // With the scripts that make sure the binary is there.
  run(root, ['npm', 'pack', '--pack-destination', folder])
  return join(
    folder,
    readdirSync(folder).find((name) => name.endsWith('.tgz'))
  )
}

let failed = 0
let count = 0
function check(name, body) {
  const began = Date.now()
  let text = ''
  try {
    body()
  } catch ({ message }) {
    failed++
    text = message
  }
  count++
  console.log(`${text === '' ? 'ok' : 'not ok'} ${count} - ${name} (${Date.now() - began} ms)`)
  if (text !== '') console.log(text.replaceAll(/^/gm, '# ').slice(-6000))
}

try {
  chmodSync(folder, 0o755)
  const archive = pack()
  const checks = [
    ...Object.keys(managers).flatMap((name) =>
      [true, false].map((scripts) => [
        `${name}, ${scripts ? 'with' : 'without'} scripts: install, run, rebuild, run`,
        () => installAndRebuild(archive, name, scripts)
      ])
    ),
    ['another user on files that are read only', () => readOnly(archive)],
    ['built from source in an installed package, and kept by npm rebuild', () => fromSource(archive)]
  ]
  const asked = process.argv.slice(2)
  const chosen = checks.filter(([name]) => asked.length === 0 || asked.some((part) => name.includes(part)))
  console.log(`TAP version 13\n1..${chosen.length}`)
  for (const [name, body] of chosen) check(name, body)
  if (chosen.length === 0) failed++
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(`# tests ${count}\n# pass ${count - failed}\n# fail ${failed}`)
process.exitCode = failed === 0 ? 0 : 1
