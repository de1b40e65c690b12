// `npm run prebuild`: the same as `npm run prebuilds`. npm also runs a script of this name before each `npm run build`, and says nowhere
// which of the two it is; but it was started with the name of the script. Before a build there is nothing to do.
import { readFileSync } from 'node:fs'

/** The command line of a process and its parent, or undefined where the system does not show them. */
function processOf(pid) {
  try {
    const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return {
      command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '),
      parent: Number(parent?.[1])
    }
  } catch {
    return undefined
  }
}

/** Whether a package manager was asked for the script `prebuild`. */
function isAskedFor() {
  for (let one = processOf(process.ppid); one !== undefined; one = processOf(one.parent)) {
    if (/\b(?:npm|npx|pnpm|yarn|bun)\b.*\bprebuild(?:\s|$)/.test(one.command)) return true
    if (/\b(?:npm|pnpm|yarn|bun)\b.*\bbuild(?:\s|$)/.test(one.command)) return false
  }
  return false
}

if (isAskedFor()) await import('./prebuilds.mjs')
