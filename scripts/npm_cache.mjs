// Packages of npm that tests need and the repository does not have: installed once, into a folder of the user's cache.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The folder of this name in the user's cache. */
export const cacheFolder = (...names) =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), ...names)

/**
 * Installs packages into `folder`, unless the path `wanted` in its node_modules is there. Returns that path.
 *
 * @param flags more flags for npm.
 */
export function installedOnce(folder, packages, wanted, flags = []) {
  const path = join(folder, 'node_modules', ...wanted)
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    const args = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--loglevel=error']
    execFileSync('npm', [...args, ...flags, ...packages], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return path
}
