// What `npm run test:windows` runs besides the suite: connections that are reset, threads that are terminated, what the system refuses,
// rules of Windows that Wine lacks, conversations between two systems, and the seeded program on both.
import { spawnSync } from 'node:child_process'
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { userProgram } from './user_program.mjs'
import { names, runSides } from './windows_sides.mjs'
import { build, nodeProgram, root, runNode } from './wine.mjs'

const TIMEOUT_MS = 240_000
const CROSSING_TIMEOUT_MS = 60_000
const RESET_ROUNDS = 20
const TEARDOWN_ROUNDS = 3
const SESSION_MESSAGES = 60_000
const SESSION_BREAKS = 30
const CROWD = 10_000
const CROWD_WITHOUT_RIO = 2000
const DELAYED = { ZERIO_RIO_ACKS: 'delayed' }
// What docs/windows.md promises.
const LOCKED_BYTES_PER_CONNECTION = 8192
const LOCKED_BYTES_FOR_ALL = 64 * 1024 * 1024

/** Prints one line for a program that ran, and what it wrote when it is bad. Here everything must be gone at the end. */
function judge(major, mode, name, good, ran) {
  const { violations, live, processes, requests, seconds, text } = ran
  const failed = (good ? 0 : 1) + violations.length + (live > 0 ? 1 : 0)
  const verdict = `${failed > 0 ? 'FAILED' : 'ok'} node ${major}, ${mode}, ${name}, ${seconds} s`
  const { locked, lost } = ran
  const emulator = `; ${requests} requests of ${processes} processes, ${violations.length} violations, ${live} live objects, ${locked} bytes locked, ${lost} lost`
  console.log(mode === 'rio' ? verdict + emulator : verdict)
  if (failed > 0) process.stdout.write(`${violations.join('\n')}\n${text}\n`)
  return { passed: failed > 0 ? 0 : 1, failed, requests }
}

/** A program of as many rounds. With `leaves` it may leave objects to the system. */
async function rounds(major, mode, script, count, name, { leaves = false, ...env } = {}) {
  const args = [`lab/windows/${script}.mjs`, String(count)]
  const ran = await runNode(major, mode, args, { name: script, timeoutMs: TIMEOUT_MS, env })
  const right = [...ran.text.matchAll(/^round \d+: (\w+)/gm)].filter(([, backend]) => backend === mode)
  return judge(
    major,
    mode,
    count === 1 ? name : `${count} ${name}`,
    ran.code === 0 && right.length === count,
    leaves ? { ...ran, live: 0 } : ran
  )
}

/** A program with one side in Windows' Node.js and the other on Linux. With `leaves` it may leave objects to the system. */
async function cross(major, mode, { name, good = () => true, leaves = false, ...program }) {
  const ran = await runSides(major, mode, { name: `${program.script}-${program.windowsSide}`, ...program })
  const right = ran.code === 0 && ran.linux.code === 0 && names(ran.text, mode) && good(ran)
  if (!right) process.stdout.write(ran.linux.text)
  return judge(major, mode, name, right, leaves ? { ...ran, live: 0 } : ran)
}

/** A conversation of a Windows and a Linux process. */
function converse(major, mode, windowsSide) {
  const linuxSide = windowsSide === 'server' ? 'client' : 'server'
  const name = `Windows ${windowsSide}, Linux ${linuxSide}`
  return cross(major, mode, { script: 'crossing', windowsSide, linuxSide, name })
}

/** Nothing of what was sent before process.exit() may be lost. */
function exitAfterSend(major, mode, acknowledgements) {
  return cross(major, mode, {
    script: 'exit_after_send',
    windowsSide: 'writer',
    linuxSide: 'reader',
    name: `process.exit() behind a megabyte, acknowledgements ${acknowledgements}`,
    good: ({ lost }) => lost === 0,
    env: { ZERIO_RIO_ACKS: acknowledgements },
    leaves: true
  })
}

/** Sessions over a path that breaks. Its processes end by process.exit(). */
async function sessions(major, mode) {
  const args = ['--messages', String(SESSION_MESSAGES), '--breaks', String(SESSION_BREAKS), '--backend', mode]
  const script = 'lab/reliability/sessions.mjs'
  const ran = await runNode(major, mode, [script, ...args], { name: 'sessions', timeoutMs: TIMEOUT_MS })
  const good = ran.code === 0 && ran.text.includes(`${mode}, seed`)
  const name = `${SESSION_MESSAGES} messages each way in a session that breaks ${SESSION_BREAKS} times`
  return judge(major, mode, name, good, { ...ran, live: 0 })
}

/** Many connections, and a bound for the memory that Registered I/O locks for them. */
function crowd(major, mode, count) {
  const bound = count * LOCKED_BYTES_PER_CONNECTION + LOCKED_BYTES_FOR_ALL
  return cross(major, mode, {
    script: 'crowd',
    windowsSide: 'server',
    linuxSide: 'clients',
    more: [String(count)],
    name: `${count} connections at once, at most ${bound} bytes locked`,
    good: ({ locked, text }) => {
      if (locked > bound) process.stdout.write(`${locked} bytes were locked\n`)
      return locked <= bound && text.includes(`${count} peers at once`)
    }
  })
}

/** The lines of the seeded program without the backend, which stands last, and the backends. */
function agreed(text) {
  const lines = text.trim().split(/\r?\n/)
  const split = lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), line.split(' ').at(-1)])
  return {
    runs: [...new Set(split.map(([run]) => run))].join('\n'),
    backends: [...new Set(split.map(([, name]) => name))]
  }
}

/** The seeded program must see the same on Linux and on Windows. */
async function agree(major, mode) {
  const script = 'lab/windows/agree.mjs'
  const options = { cwd: root, encoding: 'utf8', timeout: TIMEOUT_MS }
  const linux = agreed(spawnSync(process.execPath, [script], options).stdout)
  const ran = await runNode(major, mode, [script], { name: 'agree', timeoutMs: TIMEOUT_MS })
  const windows = agreed(ran.text)
  const good = ran.code === 0 && windows.backends.includes(mode) && windows.runs === linux.runs
  const backends = [...linux.backends, ...windows.backends].join(', ')
  if (!good) process.stdout.write(`on Linux:\n${linux.runs}\n`)
  return judge(major, mode, `${linux.runs.split('\n').length} seeded programs agree: ${backends}`, good, ran)
}

/**
 * The npm package as it is published, in a project of its own, run by a copy of node.exe that is called `host`, as Electron's or a single
 * executable application's is.
 */
async function installed(major, mode, host) {
  const folder = mkdtempSync(join(build, 'installed-'))
  const zerio = join(folder, 'node_modules', 'zerio')
  mkdirSync(zerio, { recursive: true })
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder]
  spawnSync('npm', pack, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'))
  spawnSync('tar', ['xzf', join(folder, String(archive)), '--strip-components=1', '-C', zerio])
  const program = join(folder, host)
  linkSync(nodeProgram(major), program)
  writeFileSync(join(folder, 'main.mjs'), `console.log(process.execPath)\n${userProgram('import')}`)
  const options = { name: `installed-${host}`, timeoutMs: CROSSING_TIMEOUT_MS, cwd: folder, program }
  const ran = await runNode(major, mode, ['main.mjs'], options)
  rmSync(folder, { recursive: true })
  const [path, said] = ran.text.trim().split(/\s*\n/)
  const good = ran.code === 0 && String(path).endsWith(`\\${host}`) && said === `oui ${mode}`
  return judge(major, mode, `the npm package, installed, in ${host}`, good, ran)
}

/** All programs but the planted bugs, to be called one by one. */
export function programs(major, mode) {
  return [
    () => rounds(major, mode, 'resets', RESET_ROUNDS, 'rounds of 300 connections, a third of them reset'),
    () => rounds(major, mode, 'teardown', TEARDOWN_ROUNDS, 'threads terminated in traffic'),
    () => rounds(major, mode, 'memory', 1, 'refused memory'),
    () => rounds(major, mode, 'restart', 1, 'a server that starts again on its port'),
    () => rounds(major, mode, 'connects', 1, 'targets that Windows treats in its own way'),
    () => rounds(major, mode, 'closing', 1, 'ends of streams, acknowledgements delayed', DELAYED),
    () => rounds(major, mode, 'one_way', 1, 'a one-way stream, acknowledgements delayed', DELAYED),
    () => exitAfterSend(major, mode, 'prompt'),
    () => sessions(major, mode),
    () => converse(major, mode, 'server'),
    () => converse(major, mode, 'client'),
    () => agree(major, mode),
    () => crowd(major, mode, mode === 'rio' ? CROWD : CROWD_WITHOUT_RIO),
    // The emulator is made for the addon of a checkout, in node.exe.
    ...(mode === 'winsock'
      ? [() => installed(major, mode, 'node.exe'), () => installed(major, mode, 'host.exe')]
      : [
          () => rounds(major, mode, 'refusals', 1, 'refused calls of Registered I/O'),
          () => rounds(major, mode, 'shortage', 1, 'calls of Registered I/O that fail for good'),
          () => rounds(major, mode, 'fallback', 1, 'a system that refuses Registered I/O'),
          () => rounds(major, mode, 'abandoned', 1, 'requests that do not complete', { leaves: true }),
          () => rounds(major, mode, 'corrupt', 1, 'a corrupt completion queue'),
          () => exitAfterSend(major, mode, 'delayed')
        ])
  ]
}
