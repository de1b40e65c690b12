// Runs scripts in processes that bash has limited (ulimit), or under another command.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Starts an ES module from its source text after `prepare`, a piece of shell. */
export function startLimited(prepare, source, flags = []) {
  return spawn(
    'bash',
    [
      '-c',
      `${prepare} && exec "$0" "$@"`,
      process.execPath,
      ...flags,
      '--input-type=module',
      '--eval',
      source
    ],
    { cwd: root, env: { ...process.env, NODE_OPTIONS: '' } }
  )
}

/** Runs a script so to its end. Resolves with `{ code, signal, stdout, stderr }`. */
export async function runLimited(prepare, source, { flags = [], timeoutMs = 40_000 } = {}) {
  const child = startLimited(prepare, source, flags)
  child.stdin.end()
  const guard = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const result = { code: null, signal: null, stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      result[name] += text
    })
  }
  const [code, signal] = await new Promise((resolve) => {
    child.once('close', (...ending) => resolve(ending))
  })
  clearTimeout(guard)
  return { ...result, code, signal }
}
