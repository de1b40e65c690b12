// Tests the tests: plants each bug of lab/mutations in a copy of the engine, and the simulation must find it. A patch of what the
// simulation replaces says in a line of its own what must find it instead: "Found by: <backend> <files of tests>". One of TypeScript says
// "Found by: sources <files of tests>".
//
//   npm run test:mutations [-- name …]
//   npm run test:mutations -- --share 1/2
//
// `--share 1/2` plants half of the bugs, `--share 2/2` the others.
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { addonEnvironment, buildAddon } from '../lab/reliability/lib/addon.mjs'
import { compile, copyObjects, simulationOf } from './compile.mjs'
import { plant } from './patches.mjs'
import { inShare } from './share.mjs'

const SEEDS_MAX = 1000
const RUNS_MAX = 3
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const patches = join(root, 'lab', 'mutations')

const tree = mkdtempSync(join(tmpdir(), 'zerio-mutations-'))
for (const folder of ['addon', join('lab', 'simulation')])
  cpSync(join(root, folder), join(tree, folder), {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => basename(path) !== 'build'
  })
// What a bug does not touch is the same in the simulation of the repository.
const sound = simulationOf(root)
await compile(root, sound)
const planted = simulationOf(tree, { flags: [...sound.flags, '-Wno-error'] })
copyObjects(root, sound.folder, { ...planted, root: tree })
const build = () => compile(tree, planted)

/** What else the copy needs to be a package of its own, with tests that run. */
for (const name of ['src', 'test', 'tsconfig.json', 'package.json'])
  cpSync(join(root, name), join(tree, name), { recursive: true })
for (const name of ['node_modules', 'prebuilds', 'scripts', 'examples'])
  symlinkSync(join(root, name), join(tree, name))

/** Compiles the TypeScript of the copy. */
function compileSources() {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  // A bug may leave a variable without a use.
  const loosely = ['--noUnusedLocals', 'false', '--noUnusedParameters', 'false']
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', tree, ...loosely], {
    encoding: 'utf8'
  })
  if (status !== 0) throw new Error(`the sources do not compile:\n${stdout}`)
}

/** How tests meet the bug: with an addon that this tree makes, or with its JavaScript. */
async function meeting(backend) {
  if (backend === 'sources') {
    compileSources()
    return { cwd: tree, env: process.env }
  }
  const addon = await buildAddon(tree, join(tree, 'build', 'addon'), ['-O1'])
  return { cwd: root, env: { ...process.env, ...addonEnvironment(addon), ZERIO_BACKEND: backend } }
}

/**
 * Runs tests of the public suite with what this tree makes, up to the first one that fails. Resolves with that one, or with
 * how the run ended.
 */
async function tested(backend, files) {
  const { cwd, env } = await meeting(backend)
  const ava = join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs')
  const run = spawn(process.execPath, [ava, '--timeout', '30s', ...files], {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
    env
  })
  const ended = new Promise((resolve) => run.once('close', resolve))
  let failure
  for await (const line of createInterface({ input: run.stdout })) {
    failure ??= /✘ (?:\[fail\]: )?(.*)/.exec(line)?.[1]
    // The others may wait for what the bug has lost.
    if (failure !== undefined && run.exitCode === null) process.kill(-run.pid, 'SIGKILL')
  }
  return { status: await ended, failure }
}

/** Which suites pass without a bug: what fails without one finds none. By backend and files. */
const passes = new Map()

async function passesWithoutBug(suite) {
  const [key, backend, files] = suite
  if (!passes.has(key)) passes.set(key, (await tested(backend, files.split(' '))).status === 0)
  return passes.get(key)
}

/** A bug that needs two programs at the same time may not show while the machine does something else. */
async function verdictOfTests(backend, files) {
  let status
  for (let run = 1; run <= RUNS_MAX; run++) {
    const result = await tested(backend, files)
    if (result.failure !== undefined)
      return { found: true, text: result.failure + (run > 1 ? `, in run ${run}` : '') }
    status = result.status
    if (status !== 0) break
  }
  const text =
    status === 0
      ? `survived ${files.join(' ')} ${RUNS_MAX} times`
      : `${files.join(' ')} ended with ${status} and no failed test`
  return { found: false, text }
}

/** Plants one bug and says whether it was found. */
async function verdictOf(name) {
  const patch = readFileSync(join(patches, `${name}.patch`), 'utf8')
  const suite = /^Found by: (\S+) (.*)$/m.exec(patch)
  if (suite !== null && !(await passesWithoutBug(suite)))
    return { found: false, text: `${suite[2]} fails without a bug, too` }
  const heal = plant(tree, patch)
  if (heal === undefined) return { found: false, text: 'the patch does not apply any more' }
  try {
    if (suite !== null) return await verdictOfTests(suite[1], suite[2].split(' '))
    const program = await build()
    const { status, stdout } = spawnSync(program, ['--seeds', `${SEEDS_MAX}`], { encoding: 'utf8' })
    const lines = stdout.trim().split('\n')
    if (status === 0) return { found: false, text: `survived ${SEEDS_MAX} seeds` }
    const seed = /--seed (\d+)/.exec(stdout)?.[1] ?? '?'
    const promise =
      lines.find((line) => line !== '' && !line.startsWith('Replay'))?.replace(/^.*breaks a promise: /, '') ??
      ''
    return { found: true, text: `seed ${seed}: ${promise}` }
  } finally {
    heal()
  }
}

let failed = 0
try {
  const { values, positionals: asked } = parseArgs({
    options: { share: { type: 'string', default: '1/1' } },
    allowPositionals: true
  })
  const names = readdirSync(patches)
    .filter((name) => name.endsWith('.patch'))
    .map((name) => basename(name, '.patch'))
    .filter(asked.length === 0 ? inShare(values.share) : (name) => asked.includes(name))
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
