// Runs lab/runtimes/conversation.mjs on Bun, on Deno, and on Node.js with the portable loop driver:
//
//   npm run test:runtimes [-- bun deno node]
//
// from a project that has the package in its node_modules. Bun and Deno come from npm, at the versions named here, into a folder outside of
// the repository. Results are printed as TAP.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const TIMEOUT_MS = 120_000
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'zerio-runtimes')

/** A program of a package of npm, which is installed once. */
function programOf(name, version, ...path) {
  const folder = join(cache, `${name.replace('/', '+')}-${version}`)
  const program = join(folder, 'node_modules', name, ...path)
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true })
    const flags = ['--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--loglevel=error']
    execFileSync('npm', ['install', ...flags, `${name}@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit']
    })
  }
  return program
}

const machine = process.arch === 'arm64' ? 'aarch64' : 'x64'
const runtimes = {
  node: () => ({ command: [process.execPath], env: { ZERIO_LOOP: 'portable' } }),
  bun: () => ({ command: [programOf(`@oven/bun-linux-${machine}`, '1.4.4', 'bin', 'bun')] }),
  deno: () => ({ command: [programOf(`@deno/linux-${process.arch}-glibc`, '2.9.6', 'deno'), 'run', '-A'] })
}

/** A project with a copy of the package, as npm would lay it out. */
function project() {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-runtimes-'))
  for (const part of ['package.json', 'dist', 'prebuilds'])
    cpSync(join(root, part), join(folder, 'node_modules', 'zerio', part), { recursive: true })
  cpSync(join(root, 'lab', 'runtimes', 'conversation.mjs'), join(folder, 'conversation.mjs'))
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  return folder
}

const folder = project()
const counts = { pass: 0, fail: 0 }
const asked = process.argv.slice(2)
try {
  for (const name of asked.length > 0 ? asked : Object.keys(runtimes)) {
    const { command, env = {} } = runtimes[name]()
    const [program, ...args] = command
    const { status, stdout, stderr } = spawnSync(program, [...args, 'conversation.mjs'], {
      cwd: folder,
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
      env: { ...process.env, NODE_OPTIONS: '', ...env }
    })
    const lines = stdout.split('\n').filter((line) => /^(not )?ok /.test(line))
    const ended = status === 0 && stdout.endsWith('ended\n')
    for (const line of [...lines, `${ended ? 'ok' : 'not ok'} the process ends by itself`]) {
      counts[line.startsWith('ok') ? 'pass' : 'fail']++
      console.log(line.replace('ok ', `ok ${name}: `))
    }
    if (!ended) process.stdout.write(`${stdout}${stderr}`.replaceAll(/^/gm, '    '))
  }
} finally {
  rmSync(folder, { recursive: true })
}
console.log(`# pass ${counts.pass}\n# fail ${counts.fail}`)
process.exitCode = counts.fail > 0 ? 1 : 0
