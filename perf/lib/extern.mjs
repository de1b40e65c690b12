// The packages of perf/extern, which only the benchmarks need: installed when they are asked for.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = join(import.meta.dirname, '../extern')
const INSTALL_DEADLINE_MS = 180_000
let installed = null

export const extern = (script) => join(FOLDER, script)
export const bunProgram = join(FOLDER, 'node_modules/@oven/bun-linux-x64/bin/bun')

/**
 * Installs what is missing, once.
 * @returns {string | null} null, or why the packages are not there
 */
export function installExtern(progress) {
  if (installed !== null) return installed.reason
  installed = { reason: null }
  if (!existsSync(join(FOLDER, 'node_modules/vega'))) {
    progress('installing what zerio is compared with (perf/extern)')
    try {
      execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {
        cwd: FOLDER,
        stdio: ['ignore', 'ignore', 'pipe'],
        timeout: INSTALL_DEADLINE_MS
      })
    } catch (error) {
      const lines = String(error.stderr ?? error.message)
        .trim()
        .split('\n')
      installed.reason = `npm ci failed: ${lines.find((line) => line.includes('error')) ?? lines[0]}`
    }
  }
  return installed.reason
}
