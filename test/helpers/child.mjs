// Scripts in processes of their own, judged by exit code, signal and output.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { outputOf } from './output.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Starts an ES module from its source text; `import 'zerio'` works in it. `ended` resolves with
 * `{ code, signal, stdout, stderr }`; a script that hangs is killed, which shows as its signal.
 */
export function startScript(source, { flags = [], args = [], ipc = false, timeoutMs = 40_000 } = {}) {
  const child = spawn(process.execPath, [...flags, '--input-type=module', '--eval', source, '--', ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])],
    // A run with another backend under the addon preloads it into children, too.
    env: { ...process.env, NODE_OPTIONS: process.env.ZERIO_TEST_NODE_OPTIONS ?? '' }
  })
  const output = outputOf(child)
  const guard = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(guard)
      resolve({ code, signal, ...output })
    })
  })
  return { child, ended, output: () => output.stdout }
}

/** Runs an ES module from its source text to its end. */
export function runScript(source, options) {
  return startScript(source, options).ended
}
