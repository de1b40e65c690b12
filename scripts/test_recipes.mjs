// Runs docs/recipes.md with the packed package, in a project for each section:
//
//   npm run test:recipes [-- --archive zerio-x.y.z.tgz] [part of a title …]
//
// A comment in front of each block of that page says what it is: `file: name` is written into the project, `run` is given to the shell and
// must print "oui" or pass a test, `fails: CODE` must fail with this code, and `files` are all that an image gets besides Node.js. A number
// names the Node.js that runs it. The tools come from npm, once, into a folder outside of the repository. Results are printed as TAP.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { nodeOf } from '../lab/host/nodes.mjs'
import { cacheFolder, installedOnce } from './npm_cache.mjs'
import { imageOf } from './runtime_programs.mjs'
import { archiveIn, installedProject } from './user_project.mjs'

const TIMEOUT_MS = 300_000
const TOOLS = [
  ...['esbuild@0.28', 'webpack@5', 'webpack-cli@7', 'vite@8', 'jest@30', 'vitest@4', 'tsx@4'],
  ...['postject@1.0.0-alpha.6', 'typescript@5.9', '@types/node@22']
]
const UNPRIVILEGED = 65_534
/** The target that the page writes. */
const IMAGE_TARGET = 'linux-x64'
const SUCCESS = /^oui$|^undefined 0$|Tests:? +1 passed/m
const page = readFileSync(join(dirname(fileURLToPath(import.meta.url)), '..', 'docs', 'recipes.md'), 'utf8')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'zerio-recipes-')))

/** The folder of npm's packages, which lie above the projects. */
function toolsFolder() {
  const cache = cacheFolder('zerio-recipes')
  installedOnce(cache, TOOLS, ['.bin', 'postject'])
  return join(cache, 'node_modules')
}

/** The blocks of a text: what the comment in front says, and the code. */
function blocksOf(text) {
  const pattern = /<!-- (file|run|fails|files)(?:: ([^>]*?))? -->\n```\w+\n([\s\S]*?)```/g
  return [...text.matchAll(pattern)].map(([, kind, words = '', code]) => ({ kind, words, code }))
}

function shell(code, { path, env }, node) {
  const bin = join(path, 'bin')
  rmSync(bin, { recursive: true, force: true })
  mkdirSync(bin)
  symlinkSync(node, join(bin, 'node'))
  // Tools of their own start a shell and find each other in the PATH.
  const all = { ...env, PATH: [bin, env.PATH, '/usr/bin', '/bin'].join(':'), NO_COLOR: '1' }
  const options = { cwd: path, env: all, encoding: 'utf8', timeout: TIMEOUT_MS }
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', code], options)
  return { status, said: `${stdout}${stderr}` }
}

/** Puts the files of a block, and a runtime with what it needs, below a folder, and runs the program there as another user. */
function image(code, { path }, target) {
  const { program, files, env } = imageOf(target)
  const system = mkdtempSync(join(folder, 'image-'))
  chmodSync(system, 0o755)
  for (const file of files) cpSync(realpathSync(file), join(system, file))
  for (const file of code.trim().replaceAll(IMAGE_TARGET, target).split('\n'))
    cpSync(join(path, file), join(system, 'app', file), { recursive: true })
  const args = [`--userspec=${UNPRIVILEGED}:${UNPRIVILEGED}`, system, program, '/app/main.mjs']
  const options = { env, encoding: 'utf8', timeout: TIMEOUT_MS }
  const { status, stdout, stderr } = spawnSync('/usr/sbin/chroot', args, options)
  return { status, said: `${target}: ${stdout}${stderr}` }
}

/** An image for each C library that the package has a binary for here. */
function images(code, project) {
  const all = [`linux-${process.arch}`, 'linux-x64-musl']
  const binary = (target) => join(project.path, 'node_modules', 'zerio', 'prebuilds', target, 'zerio.node')
  const ran = all.filter((target) => existsSync(binary(target))).map((target) => image(code, project, target))
  const bad = ran.find(({ status, said }) => status !== 0 || !said.endsWith(': oui\n'))
  return bad ?? { status: ran.length > 0 ? 0 : 1, said: 'oui\n' }
}

/** What is wrong after a block; undefined when nothing is. */
function runBlock({ kind, words, code }, project) {
  const major = /\d+$/.exec(words)?.[0]
  const node = major === undefined ? process.execPath : nodeOf(Number(major))
  const { status, said } = kind === 'files' ? images(code, project) : shell(code, project, node)
  const good =
    kind === 'fails'
      ? status !== 0 && said.includes(words.replace(/ \d+$/, ''))
      : status === 0 && SUCCESS.test(said)
  return good ? undefined : `${code}ended with ${status}:\n${said}`
}

function runSection({ title, blocks }, common, template) {
  const path = join(folder, 'projects', title)
  cpSync(template.path, path, { recursive: true })
  // npx looks for tools in the project alone.
  rmSync(join(path, 'node_modules', '.bin'), { recursive: true })
  symlinkSync(join(folder, 'node_modules', '.bin'), join(path, 'node_modules', '.bin'))
  for (const { words, code } of [...common, ...blocks].filter(({ kind }) => kind === 'file'))
    writeFileSync(join(path, words), code)
  const toRun = blocks.filter(({ kind }) => kind !== 'file')
  for (const block of toRun) {
    const fault = runBlock(block, { path, env: template.env })
    if (fault !== undefined) return fault
  }
  return undefined
}

const { values, positionals } = parseArgs({
  options: { archive: { type: 'string' } },
  allowPositionals: true
})
const [before, ...texts] = page.split(/^## /m)
const sections = texts
  .map((text) => ({ title: text.slice(0, text.indexOf('\n')), blocks: blocksOf(text) }))
  .filter(({ blocks }) => blocks.length > 0)
  .filter(({ title }) => positionals.length === 0 || positionals.some((part) => title.includes(part)))
let failed = 0
try {
  chmodSync(folder, 0o755)
  symlinkSync(toolsFolder(), join(folder, 'node_modules'))
  const template = installedProject(folder, 'template', archiveIn(folder, values.archive))
  for (const [i, section] of sections.entries()) {
    const began = Date.now()
    const fault = runSection(section, blocksOf(before), template)
    if (fault !== undefined) failed++
    console.log(
      `${fault === undefined ? 'ok' : 'not ok'} ${i + 1} - ${section.title} (${Date.now() - began} ms)`
    )
    if (fault !== undefined) console.log(fault.trimEnd().replaceAll(/^/gm, '# '))
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(`# pass ${sections.length - failed}\n# fail ${failed}`)
process.exitCode = failed > 0 || sections.length === 0 ? 1 : 0
