// Bugs that are planted in the backends of Windows, one by one, for the emulator and the programs of lab/windows to find.
//
// A patch of lab/windows/planted says in its head what it is found as: a part of a violation, or of what the program prints. It may say by which
// program (`Found by:`, otherwise resets), with which environment variable (`With:`), and how many bytes that locks at most without the bug
// (`Locked at most:`).
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { copyObjects } from './compile.mjs'
import { plant } from './patches.mjs'
import { inShare } from './share.mjs'
import { runSides } from './windows_sides.mjs'
import { build, root, runNode } from './wine.mjs'

const TIMEOUT_MS = 60_000
const patches = join(root, 'lab', 'windows', 'planted')
const PARTS = ['addon', 'dist', 'package.json', 'lab/windows', 'test/helpers']
// The emulator is that of the checkout: a copy of the tree builds the addon alone.
const isCopied = (path) => !(path.includes(join('lab', 'windows')) && path.endsWith('.cc'))

const field = (patch, name) => new RegExp(`^${name}: (.*)$`, 'm').exec(patch)?.[1]

/** Runs the program that is to find the bug in the tree. */
function run(major, tree, name, patch, ending) {
  const script = field(patch, 'Found by') ?? 'resets'
  const [variable, value] = (field(patch, 'With') ?? 'ZERIO_RIO_ACKS=prompt').split('=')
  const options = { name, timeoutMs: TIMEOUT_MS, cwd: tree, env: { [variable]: value } }
  if (script === 'exit_after_send')
    return runSides(major, 'rio', { ...options, script, windowsSide: 'writer', linuxSide: 'reader' })
  return runNode(major, 'rio', [`lab/windows/${script}.mjs`, '1'], { ...options, ending })
}

/** Plants one bug. Returns what is wrong when it is not found. */
async function plantOne(major, tree, name) {
  const patch = readFileSync(join(patches, name), 'utf8')
  const expected = String(field(patch, 'Found as'))
  const finds = (lines) => lines.some((line) => line.includes(expected))
  const heal = plant(tree, patch)
  if (heal === undefined) return 'the patch does not apply any more'
  try {
    const command = ['scripts/build_windows.mjs', '--tree', tree]
    const made = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' })
    if (made.status !== 0) return made.stderr
    const ending = (violations, text) => finds([...violations, text])
    const ran = await run(major, tree, `planted-${basename(name, '.patch')}`, patch, ending)
    const lost = ran.lost > 0 ? `${ran.lost} bytes were lost` : ''
    const most = Number(field(patch, 'Locked at most') ?? Infinity)
    const locked = ran.locked > most ? `${ran.locked} bytes were locked` : ''
    if (finds([...ran.violations, ran.text, lost, locked])) return ''
    return `no "${expected}" in:\n${ran.violations.join('\n')}\n${ran.text}`
  } finally {
    heal()
  }
}

/** Copies what a tree needs, and what was built of it, so that only files that change are compiled. */
function copyTree(tree) {
  for (const part of PARTS)
    cpSync(join(root, part), join(tree, part), {
      recursive: true,
      filter: isCopied,
      preserveTimestamps: true
    })
  const folder = join(tree, 'build', 'windows')
  cpSync(join(build, 'rio_emulator.node'), join(folder, 'rio_emulator.node'))
  copyObjects(root, build, { root: tree, folder, flags: [] })
  const flags = readFileSync(join(build, 'flags.txt'), 'utf8')
  writeFileSync(join(folder, 'flags.txt'), flags.replace(join(root, 'addon'), join(tree, 'addon')))
}

/**
 * Plants each bug in a copy of the tree; each must be found.
 *
 * @param names parts of the names of those that are wanted.
 * @param share as in '1/2': of all of them every second one, from the first.
 */
export async function runPlanted(major, { names = [''], share = '1/1' } = {}) {
  const tree = mkdtempSync(join(tmpdir(), 'zerio-planted-'))
  const result = { passed: 0, failed: 0, requests: 0 }
  try {
    copyTree(tree)
    for (const name of readdirSync(patches).sort().filter(inShare(share))) {
      if (!names.some((part) => name.includes(part))) continue
      const wrong = await plantOne(major, tree, name)
      if (wrong === '') result.passed++
      else result.failed++
      console.log(
        `${wrong === '' ? 'found    ' : 'NOT FOUND'} ${basename(name, '.patch').padEnd(28)} ${wrong}`
      )
    }
  } finally {
    rmSync(tree, { recursive: true })
  }
  console.log(`${result.passed} of ${result.passed + result.failed} planted bugs were found`)
  return result
}
