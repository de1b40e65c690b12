// Runs the packed package in every runtime:
//
//   npm run test:runtimes [-- --archive zerio-x.y.z.tgz] [part of a name …]
//
// npm installs it into a fresh project where no compiler is in the PATH; then the README's server and client talk, and in what is not
// Node.js with libuv the conversation of lab/runtimes does, too. The archive is that of this checkout, or one that `npm run release` has
// made. Runtimes for which it has no binary are named and left out: `npm run build` makes the one of this machine, `npm run prebuilds` all.
// Results are printed as TAP.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runtimes } from './runtime_programs.mjs'
import { archiveIn, freePort, installedProject, snippetsOf } from './user_project.mjs'

const TIMEOUT_MS = 300_000
const PORT = '48654'
const lab = join(dirname(fileURLToPath(import.meta.url)), '..', 'lab', 'runtimes')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'zerio-runtimes-')))
const counts = { pass: 0, fail: 0 }

function report(good, name, text = '') {
  counts[good ? 'pass' : 'fail']++
  console.log(`${good ? 'ok' : 'not ok'} ${counts.pass + counts.fail} - ${name}`)
  if (!good) console.log(text.trimEnd().replaceAll(/^/gm, '# '))
}

/** Starts a file; `output` is what it has said so far, and `says(words)` waits for words or the end. */
function start([program, ...args], file, { path, env }) {
  const child = spawn(program, [...args, file], { cwd: path, env, timeout: TIMEOUT_MS })
  const ended = once(child, 'close')
  const running = { child, ended, output: '' }
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      running.output += text
      child.emit('said')
    })
  running.says = async (words) => {
    while (!running.output.includes(words) && child.exitCode === null)
      await Promise.race([once(child, 'said'), ended])
  }
  return running
}

/** Which of the package's binaries a process has loaded. */
function binaryOf(pid) {
  const found = /\/zerio\/prebuilds\/([\w-]+)\/zerio\.node$/m.exec(readFileSync(`/proc/${pid}/maps`, 'utf8'))
  return found?.[1] ?? 'none'
}

/** The two programs that the README begins with. */
async function readme(name, command, project, target) {
  const port = await freePort()
  for (const [file, code] of snippetsOf('README.md'))
    writeFileSync(join(project.path, file), code.replaceAll(PORT, port))
  const server = start(command, 'server.mjs', project)
  await server.says(`listening on ${port}`)
  const loaded = server.child.exitCode === null ? binaryOf(server.child.pid) : 'none'
  const client = start(command, 'client.mjs', project)
  const [status] = await client.ended
  await server.says('left')
  server.child.kill('SIGKILL')
  await server.ended
  const good =
    status === 0 && client.output === 'oui\n' && server.output.includes('left') && loaded === target
  report(good, `${name}: the README's server and client, with ${loaded}`, server.output + client.output)
}

function converse(name, [program, ...args], { path, env }) {
  copyFileSync(join(lab, 'conversation.mjs'), join(path, 'conversation.mjs'))
  const options = { cwd: path, env, encoding: 'utf8', timeout: TIMEOUT_MS }
  const { status, stdout, stderr } = spawnSync(program, [...args, 'conversation.mjs'], options)
  for (const [, not = '', text] of stdout.matchAll(/^(not )?ok (.*)/gm))
    report(not === '', `${name}: ${text}`)
  report(
    status === 0 && stdout.endsWith('ended\n'),
    `${name}: the process ends by itself`,
    `${stdout}${stderr}`
  )
}

/** A handler's exception ends the program and is printed with its stack. */
function throws(name, [program, ...args], { path, env }) {
  copyFileSync(join(lab, 'throwing.mjs'), join(path, 'throwing.mjs'))
  const options = { cwd: path, env: { ...env, NO_COLOR: '1' }, encoding: 'utf8', timeout: TIMEOUT_MS }
  const { status, stdout, stderr } = spawnSync(program, [...args, 'throwing.mjs'], options)
  const good = status > 0 && /the handler threw/.test(stderr) && /throwing\.mjs:6/.test(stderr)
  report(
    good,
    `${name}: an exception of a handler is printed with its stack`,
    `${status}\n${stdout}${stderr}`
  )
}

async function runIn(name, archive, targets) {
  const { target, start: bring } = runtimes[name]
  if (!targets.has(target)) return console.log(`# ${name} left out: the package has no prebuilds/${target}`)
  const { command, env = {} } = bring()
  const isNode = name.startsWith('node')
  const installed = installedProject(folder, name, archive, isNode ? { node: command[0] } : {})
  const project = { path: installed.path, env: { ...installed.env, ...env } }
  await readme(name, command, project, target)
  throws(name, command, project)
  if (!isNode) converse(name, command, project)
}

/** What the archive has binaries for. */
function targetsOf(archive) {
  const names = execFileSync('tar', ['tzf', archive], { encoding: 'utf8' })
  return new Set(
    [...names.matchAll(/^package\/prebuilds\/([\w-]+)\/zerio\.node$/gm)].map(([, target]) => target)
  )
}

const { values, positionals } = parseArgs({
  options: { archive: { type: 'string' } },
  allowPositionals: true
})
const chosen = Object.keys(runtimes).filter(
  (name) => positionals.length === 0 || positionals.some((part) => name.includes(part))
)
try {
  const archive = archiveIn(folder, values.archive)
  const targets = targetsOf(archive)
  for (const name of chosen) await runIn(name, archive, targets)
} finally {
  rmSync(folder, { recursive: true })
}
console.log(`# pass ${counts.pass}\n# fail ${counts.fail}`)
process.exitCode = counts.fail > 0 || counts.pass === 0 ? 1 : 0
