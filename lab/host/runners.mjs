// Test runners that load modules anew: a hundred files, each with the package loaded for itself, a server and a client.
//
//   node lab/host/runners.mjs [--only 'jest;vitest;…'] [--files 100]
//
// Jest and Vitest come from npm, into a folder of their own. Nothing may fail, warn, stay open, or pile up descriptors.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const PACKAGES = ['jest@30', 'vitest@3']
const RUN_MS_MAX = 240_000
/** Descriptors that one process may hold at its end, whatever number of engines it has seen. */
const DESCRIPTORS_MAX = 120
const root = fileURLToPath(new URL('../..', import.meta.url))
const preload = join(root, 'lab/host/runners/processes.cjs')
const one = join(root, 'lab/host/runners/one.cjs')

const { values } = parseArgs({
  options: { only: { type: 'string' }, files: { type: 'string', default: '100' } }
})
const files = Number(values.files)
const folder = mkdtempSync(join(tmpdir(), 'zerio-runners-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** A project of its own: modules from npm, and the package as its users install it. */
function project(name, modules, filesOf) {
  const path = join(folder, name)
  mkdirSync(join(path, 'node_modules'), { recursive: true })
  for (const [module, target] of Object.entries(modules)) {
    mkdirSync(dirname(join(path, 'node_modules', module)), { recursive: true })
    symlinkSync(target, join(path, 'node_modules', module))
  }
  mkdirSync(join(path, 'node_modules/zerio'), { recursive: true })
  for (const part of ['package.json', 'dist', 'prebuilds', 'build'])
    if (existsSync(join(root, part))) symlinkSync(join(root, part), join(path, 'node_modules/zerio', part))
  for (const [file, text] of Object.entries(filesOf)) {
    mkdirSync(dirname(join(path, file)), { recursive: true })
    writeFileSync(join(path, file), text)
  }
  return path
}

const numbered = (extension, text) =>
  Object.fromEntries(Array.from({ length: files }, (_, i) => [`test/${i}.${extension}`, text(i)]))

/** The folder of npm's packages, installed once, outside of the repository. */
function installed() {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const cache = join(base, 'zerio-host', 'runners')
  if (!existsSync(join(cache, 'node_modules/vitest'))) {
    mkdirSync(cache, { recursive: true })
    const flags = ['--prefix', cache, '--no-save', '--no-audit', '--no-fund', '--loglevel=error']
    execFileSync('npm', ['install', ...flags, ...PACKAGES], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return join(cache, 'node_modules')
}

/** Runs a command, and says why it was not good, or undefined. */
async function run(cwd, args) {
  const log = join(cwd, 'processes.log')
  const env = {
    ...process.env,
    NODE_OPTIONS: `--require ${preload}`,
    ZERIO_RUNNERS_LOG: log,
    CI: 'true',
    NO_COLOR: '1'
  }
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const guard = setTimeout(() => child.kill('SIGKILL'), RUN_MS_MAX)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  const [code, signal] = await new Promise((resolve) => child.once('close', (...end) => resolve(end)))
  clearTimeout(guard)
  const lines = existsSync(log)
    ? readFileSync(log, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : []
  const trouble = lines.filter(({ warning }) => warning).map(({ warning }) => warning)
  const ends = lines.filter(({ pid }) => pid)
  const most = Math.max(0, ...ends.map(({ descriptors }) => descriptors))
  if (most > DESCRIPTORS_MAX) trouble.push(`a process ended with ${most} descriptors`)
  if (code !== 0) trouble.push(`ended with ${signal ?? code}: ${output.slice(-3000)}`)
  for (const sentence of [/did not exit/, /open handle/, /MaxListeners/, /force exited/, /close timed out/])
    if (sentence.test(output)) trouble.push(`said ${sentence}: ${output.slice(-1000)}`)
  return { trouble, text: `${ends.length} processes, at most ${most} descriptors at the end` }
}

const NODE_MAJOR = Number.parseInt(process.versions.node, 10)

const runners = {
  async jest() {
    const modules = installed()
    const cwd = project(
      'jest',
      { jest: join(modules, 'jest') },
      {
        'package.json': JSON.stringify({ jest: { testEnvironment: 'node', transform: {} } }),
        ...numbered('test.js', (i) => `test('echo', () => require('${one}')(require('zerio'), ${i}))`)
      }
    )
    // In one process: each file has a registry of modules, and a context, of its own.
    return run(cwd, [join(modules, 'jest/bin/jest.js'), '--runInBand', '--detectOpenHandles'])
  },

  async 'jest, workers'() {
    const modules = installed()
    const cwd = project(
      'jest-workers',
      { jest: join(modules, 'jest') },
      {
        'package.json': JSON.stringify({ jest: { testEnvironment: 'node', transform: {} } }),
        ...numbered('test.js', (i) => `test('echo', () => require('${one}')(require('zerio'), ${i}))`)
      }
    )
    return run(cwd, [join(modules, 'jest/bin/jest.js'), '--maxWorkers=2'])
  },

  vitest: () => vitest('forks', true),
  'vitest, threads': () => vitest('threads', false),
  'vitest, contexts': () => vitest('vmThreads', false),

  async 'node --test, no isolation'() {
    if (NODE_MAJOR < 22) return { text: 'not run: Node 22 brings it' }
    const cwd = project(
      'node-test',
      {},
      {
        ...numbered(
          'test.cjs',
          (i) => `
          const { test } = require('node:test')
          const { dirname } = require('node:path')
          for (const key of Object.keys(require.cache)) if (key.includes('/dist/')) delete require.cache[key]
          test('echo ${i}', () => require('${one}')(require('zerio'), ${i}))`
        )
      }
    )
    const flag = NODE_MAJOR < 24 ? '--experimental-test-isolation=none' : '--test-isolation=none'
    return run(cwd, ['--test', flag, 'test/**/*.test.cjs'])
  },

  async 'ava, worker threads'() {
    const cwd = project(
      'ava',
      { ava: join(root, 'node_modules/ava') },
      {
        'package.json': JSON.stringify({ ava: { files: ['test/*.test.cjs'], timeout: '60s' } }),
        ...numbered(
          'test.cjs',
          (i) =>
            `require('ava')('echo', async (t) => { await require('${one}')(require('zerio'), ${i}); t.pass() })`
        )
      }
    )
    return run(cwd, [join(cwd, 'node_modules/ava/entrypoints/cli.mjs'), '--concurrency=2'])
  },

  async 'one process whose modules are loaded again and again'() {
    const cwd = project(
      'again',
      {},
      {
        'all.cjs': `
        const { readdirSync } = require('node:fs')
        const descriptors = () => readdirSync('/proc/self/fd').length
        ;(async () => {
          let settled
          for (let i = 0; i < ${files}; i++) {
            for (const key of Object.keys(require.cache)) if (key.includes('/dist/')) delete require.cache[key]
            await require('${one}')(require('zerio'), i)
            if (i === 20) settled = descriptors()
          }
          if (descriptors() > settled + 8) throw new Error(\`\${descriptors() - settled} descriptors more after ${files} rounds\`)
        })()`
      }
    )
    return run(cwd, [join(cwd, 'all.cjs')])
  }
}

function vitest(pool, single) {
  const modules = installed()
  const options = { pool, globals: true, poolOptions: { [pool]: { singleFork: single, isolate: true } } }
  const cwd = project(
    `vitest-${pool}`,
    { vitest: join(modules, 'vitest') },
    {
      'package.json': JSON.stringify({ type: 'module' }),
      'vitest.config.mjs': `export default { test: ${JSON.stringify({ ...options, teardownTimeout: 5000, testTimeout: 20000, maxWorkers: 2, minWorkers: 1 })} }`,
      ...numbered(
        'test.js',
        (i) =>
          `import * as zerio from 'zerio'\nimport echo from '${one}'\ntest('echo', () => echo(zerio, ${i}))`
      )
    }
  )
  return run(cwd, [join(modules, 'vitest/vitest.mjs'), 'run', '--reporter=dot'])
}

const only = values.only?.split(';')
let passed = 0
let failed = 0
for (const [name, start] of Object.entries(runners)) {
  if (only !== undefined && !only.includes(name)) continue
  const began = performance.now()
  const { trouble = [], text } = await start()
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  if (trouble.length === 0) passed++
  else failed++
  console.log(
    trouble.length === 0 ? `ok  ${name}: ${text}, ${seconds} s` : `FAILED  ${name}: ${trouble.join('; ')}`
  )
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)
