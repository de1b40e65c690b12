// The command line as users run it: as a process, judged by its output and exit code.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { outputOf } from './output.mjs'
import { until } from './until.mjs'

export const commandFile = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/**
 * Starts `zerio` with these arguments. `ended` resolves with `{ code, signal, stdout, stderr }`; `prints` when the text or pattern
 * has appeared on stdout or stderr. A command that hangs is killed.
 */
export function startCommand(
  args,
  { timeoutMs = 40_000, input = '', command = [process.execPath, commandFile] } = {}
) {
  const child = spawn(command[0], [...command.slice(1), ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // A run with another backend under the addon preloads it into children, too.
    env: { ...process.env, NODE_OPTIONS: process.env.ZERIO_TEST_NODE_OPTIONS ?? '' }
  })
  const output = outputOf(child)
  child.stdin.end(input)
  const guard = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(guard)
      resolve({ code, signal, ...output })
    })
  })
  const prints = (pattern) =>
    until(
      () => pattern.exec(output.stdout) ?? pattern.exec(output.stderr),
      `the command prints ${pattern}`,
      timeoutMs
    )
  return { child, ended, prints }
}

export function runCommand(args, options) {
  return startCommand(args, options).ended
}
