// Runs a program of lab/windows that has one side in Windows' Node.js and the other on Linux.
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readIfThere, root, runNode } from './wine.mjs'

const TIMEOUT_MS = 60_000

/** Whether a program says that it ran with this backend: as a word, because "zerio" contains "rio". */
export const names = (text, backend) => new RegExp(`\\b${backend}\\b`).test(text)

/**
 * Both sides get a file through which they find each other behind the name of their side, and then `more`. Windows' side runs in the
 * tree `cwd`. Resolves with what runNode() has, and `linux` with the exit code and the output of the other side.
 */
export async function runSides(
  major,
  mode,
  { name, script, windowsSide, linuxSide, more = [], env = {}, cwd = root, timeoutMs = TIMEOUT_MS }
) {
  const path = `lab/windows/${script}.mjs`
  const folder = mkdtempSync(join(tmpdir(), 'zerio-sides-'))
  const port = join(folder, 'port')
  const log = join(folder, 'linux.txt')
  const file = openSync(log, 'w')
  const linux = spawn(process.execPath, [path, linuxSide, port, ...more], {
    cwd: root,
    stdio: ['ignore', file, file]
  })
  closeSync(file)
  const ended = new Promise((resolve) => linux.once('close', resolve))
  const guard = setTimeout(() => linux.kill('SIGKILL'), timeoutMs)
  const args = [path, windowsSide, `Z:${port}`, ...more]
  const ran = await runNode(major, mode, args, { name, timeoutMs, env, cwd })
  if (ran.code !== 0) linux.kill('SIGKILL')
  const code = await ended
  clearTimeout(guard)
  const text = readIfThere(log)
  rmSync(folder, { recursive: true })
  return { ...ran, linux: { code, text } }
}
