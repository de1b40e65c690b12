// Windows programs under Wine, with the Registered I/O emulator under the addon where that is wanted.
//
// Output goes to files, because Wine's processes lose what they write to the pipes of a Linux process.
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
export const build = join(root, 'build', 'windows')
const wine = ['/usr/lib/wine/wine64', '/usr/bin/wine64'].find(existsSync)
const environment = {
  ...process.env,
  CI: 'true',
  NODE_OPTIONS: '',
  WINEPREFIX: process.env.WINEPREFIX ?? join(build, 'prefix'),
  WINEDEBUG: '-all'
}

export const nodeProgram = (major) => join(build, 'node', major, 'node.exe')

/** What is not here and must be, as a sentence; undefined when all is. */
export function whatIsMissing(majors) {
  if (wine === undefined) return 'Wine is missing; on Debian: apt-get install wine64'
  const missing = majors.map(nodeProgram).find((program) => !existsSync(program))
  if (missing !== undefined) return `${missing} is missing: run node scripts/windows_node.mjs`
  if (!existsSync(join(root, 'prebuilds', 'win32-x64', 'zerio.node')))
    return 'The addon is missing: run npm run build:windows'
  return undefined
}

export function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** Runs a Windows program with its output in a file. Resolves with its exit code, or -1 when it took too long. */
function runWine(args, { log, timeoutMs, env = {}, cwd = root, until = () => false }) {
  const output = openSync(log, 'w')
  const child = spawn(wine, args, {
    cwd,
    env: { ...environment, ...env },
    stdio: ['ignore', output, output]
  })
  closeSync(output)
  const guard = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const watch = setInterval(() => until() && child.kill('SIGKILL'), 200)
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(guard)
      clearInterval(watch)
      resolve(code ?? -1)
    })
  })
}

/** Makes Wine's own folder, which takes some seconds, once. */
export async function makePrefix() {
  if (existsSync(join(environment.WINEPREFIX, 'system.reg'))) return
  mkdirSync(environment.WINEPREFIX, { recursive: true })
  const log = join(build, 'prefix.log')
  // Node.js refuses the Windows 7 that Wine is by itself.
  for (const args of [
    ['wineboot', '-i'],
    ['winecfg', '-v', 'win10']
  ]) {
    if ((await runWine(args, { log, timeoutMs: 120_000 })) !== 0) {
      throw new Error(`Wine cannot make its prefix: see ${log}`)
    }
  }
}

export function endWine() {
  spawnSync('wineserver', ['-k'], { env: environment })
}

/** What the emulator wrote: violations, how many processes ended, how much they used it, and what was left in them. */
function readReport(path) {
  const lines = readIfThere(path).trimEnd().split('\n')
  const pattern = / end: requests (\d+), violations \d+, live (\d+), locked (\d+), lost (\d+)/g
  const ends = [...lines.join('\n').matchAll(pattern)].map((end) => end.slice(1).map(Number))
  const sum = (column) => ends.reduce((total, end) => total + end[column], 0)
  return {
    violations: lines.filter((line) => line.includes('violation: ')),
    processes: ends.length,
    requests: sum(0),
    live: sum(1),
    locked: Math.max(0, ...ends.map((end) => end[2])),
    lost: sum(3)
  }
}

/**
 * Runs Windows Node.js with these arguments in the tree `cwd`, whose lab/windows and build/windows are used, where it has them, to put
 * the emulator under the addon: the rules of Windows' sockets, and with `mode` 'rio' Registered I/O. `env` has more variables,
 * `program` another node.exe. `ending(violations, text)` may end the program early.
 */
export async function runNode(
  major,
  mode,
  args,
  { name, timeoutMs, cwd = root, env = {}, program = nodeProgram(major), ending = () => false }
) {
  const folder = join(build, 'results', `${major}-${mode}`)
  mkdirSync(folder, { recursive: true })
  const log = join(folder, `${name}.txt`)
  const report = join(folder, `${name}.rio.txt`)
  rmSync(report, { force: true })
  const emulator = join(cwd, 'lab', 'windows', 'emulate_rio.cjs')
  const preload = existsSync(emulator) ? `--require "Z:${emulator}"` : ''
  const began = Date.now()
  const code = await runWine([program, ...args], {
    log,
    timeoutMs,
    cwd,
    env: {
      ZERIO_TEST_BACKEND: mode,
      ZERIO_RIO: mode === 'rio' ? 'on' : 'off',
      ZERIO_RIO_REPORT: `Z:${report}`,
      NODE_OPTIONS: preload,
      ZERIO_TEST_NODE_OPTIONS: preload,
      ...env
    },
    until: () => ending(readReport(report).violations, readIfThere(log))
  })
  const seconds = Math.round((Date.now() - began) / 1000)
  return { code, seconds, text: readIfThere(log), ...readReport(report) }
}
