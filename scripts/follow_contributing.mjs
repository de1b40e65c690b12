// Follows CONTRIBUTING.md word by word: clones this checkout into a temporary folder and runs each block of commands there.
//
//   node scripts/follow_contributing.mjs [--quick] [--list] [--keep]
//
// --quick leaves out the blocks that take minutes, --list only prints the commands, --keep leaves the clone behind.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { userEnvironment } from './user_environment.mjs'

const BLOCK_SECONDS_MAX = 900
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean' }, list: { type: 'boolean' }, keep: { type: 'boolean' } }
})

/** The blocks of commands of a page, as `{ commands, isLong, line }`. Throws for one that does not say whether it runs. */
export function blocksOf(text) {
  return [...text.matchAll(/^(?:<!-- run(: minutes)? -->\n)?```sh\n([\s\S]*?)^```$/gm)].map(
    ({ 0: whole, 1: minutes, 2: commands, index }) => {
      const line = text.slice(0, index).split('\n').length
      if (!whole.startsWith('<!--')) throw new Error(`CONTRIBUTING.md:${line}: a block without <!-- run -->`)
      return { commands, isLong: minutes !== undefined, line }
    }
  )
}

/** What a clone does not have. */
const made = ['node_modules', 'dist', 'build', 'prebuilds'].map((name) => join(root, name))

function clone(folder) {
  if (!existsSync(join(root, '.git'))) {
    console.log('This is no checkout of git, so its files are copied.')
    const isSource = (path) => !made.includes(path) && !path.startsWith(join(root, 'addon', 'build'))
    cpSync(root, folder, { recursive: true, filter: isSource })
    return
  }
  const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' })
  if (git('status', '--porcelain').stdout !== '')
    console.log('Changes that are not committed are not in the clone.')
  const { status, stderr } = git('-c', 'safe.directory=*', 'clone', '--quiet', root, folder)
  if (status !== 0) throw new Error(`git clone failed: ${stderr}`)
}

function follow(blocks, folder) {
  for (const { commands, line } of blocks) {
    console.log(`=== CONTRIBUTING.md:${line}\n${commands.trimEnd()}`)
    const began = performance.now()
    const { status, signal } = spawnSync('bash', ['-euo', 'pipefail', '-c', commands], {
      cwd: folder,
      env: userEnvironment(),
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: BLOCK_SECONDS_MAX * 1000
    })
    if (status !== 0)
      throw new Error(`CONTRIBUTING.md:${line}: the commands ended with ${status ?? signal ?? 'an error'}`)
    console.log(`=== ${((performance.now() - began) / 1000).toFixed(0)} s`)
  }
}

function main() {
  const blocks = blocksOf(readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')).filter(
    ({ isLong }) => !(flags.quick && isLong)
  )
  if (flags.list) {
    process.stdout.write(blocks.map(({ commands }) => commands).join(''))
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'zerio-contributing-'))
  try {
    clone(join(folder, 'zerio'))
    follow(blocks, join(folder, 'zerio'))
    console.log(`CONTRIBUTING.md was followed: ${blocks.length} blocks.`)
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  } finally {
    if (!flags.keep) rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
