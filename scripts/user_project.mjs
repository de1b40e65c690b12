// The package as its users get it: packed, and installed into a fresh project on a machine that has Node.js and npm and nothing else, above
// all no compiler.
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { userEnvironment } from './user_environment.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
/** What npm and the shell scripts in packages' `bin` start. */
const SHELL = ['sh', 'env', 'dirname', 'basename', 'sed', 'uname', 'readlink']

function inPath(name) {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = folders.map((folder) => join(folder, name)).flatMap((path) => realPath(path))
  if (found.length === 0) throw new Error(`${name} is not in PATH.`)
  return found[0]
}

function realPath(path) {
  try {
    return [realpathSync(path)]
  } catch {
    return []
  }
}

/** npm's program, for any Node.js. */
export const npmProgram = () => inPath('npm')

/** Packs this checkout as it is into `folder`, or takes the archive `given`; returns the path. */
export function archiveIn(folder, given) {
  if (given !== undefined) return resolve(given)
  const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder]
  execFileSync('npm', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  return join(folder, String(readdirSync(folder).find((name) => name.endsWith('.tgz'))))
}

/** The environment of a user of this machine who has `node`, npm, a shell, and a home that is empty. */
export function bareEnvironment(folder, node = process.execPath) {
  const bin = mkdtempSync(join(folder, 'bin-'))
  symlinkSync(node, join(bin, 'node'))
  symlinkSync(npmProgram(), join(bin, 'npm'))
  symlinkSync(join(dirname(npmProgram()), 'npx-cli.js'), join(bin, 'npx'))
  for (const name of SHELL) symlinkSync(inPath(name), join(bin, name))
  const env = { ...userEnvironment(), HOME: bin, PATH: bin, NODE_OPTIONS: '' }
  return { ...env, npm_config_update_notifier: 'false', npm_config_audit: 'false', npm_config_fund: 'false' }
}

/** A fresh project in `folder`, in which npm has installed the archive without asking any registry. */
export function installedProject(folder, name, archive, { node = process.execPath, files = {} } = {}) {
  const path = join(folder, name)
  const env = bareEnvironment(folder, node)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'package.json'), '{"name":"app","version":"1.0.0","private":true}\n')
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text)
  const args = [npmProgram(), 'install', '--offline', '--loglevel=error', archive]
  execFileSync(node, args, { cwd: path, env, stdio: ['ignore', 'ignore', 'inherit'] })
  return { path, env }
}

/** The programs that a page of the documentation shows, by the names of their files. */
export function snippetsOf(page) {
  const text = readFileSync(join(root, page), 'utf8')
  return new Map(
    [...text.matchAll(/<!-- run: (\S+) -->\n```js\n([\s\S]*?)```/g)].map(([, name, code]) => [name, code])
  )
}

/** A port that nothing listens on at the moment. */
export const freePort = () =>
  new Promise((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => done(port))
    })
  })
