// Runs the laboratory's scripts in processes of their own and collects the JSON line that each prints last.

import { spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

export const here = fileURLToPath(new URL('.', import.meta.url))
export const root = fileURLToPath(new URL('../../..', import.meta.url))

const isAllowed = (command, args) => spawnSync(command, args).status === 0

/**
 * Starts `lib/<script>` with these arguments. `ended` resolves with `{ code, signal, stdout, stderr, report }`; a process that takes
 * longer than `timeoutMs` is killed, which shows as its signal. `lines(name)` resolves with the first JSON line that has the key.
 */
export function startChild(
  script,
  args,
  { timeoutMs = 60_000, env = {}, flags = [], realTime = false, idle = false, processor, ipc = false } = {}
) {
  const command = [process.execPath, ...flags, `${here}${script}`, ...args.map(String)]
  if (processor !== undefined && availableParallelism() > processor)
    command.unshift('taskset', '-c', String(processor))
  // Other processes have priority over this one; or, where the system allows it, this one has priority over all.
  if (idle) command.unshift('chrt', '--idle', '0')
  if (realTime && isAllowed('chrt', ['--rr', '1', 'true'])) command.unshift('chrt', '--rr', '1')
  const child = spawn(command[0], command.slice(1), {
    cwd: root,
    stdio: ['pipe', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])],
    // Under Wine each process loads the emulator.
    env: { ...process.env, NODE_OPTIONS: process.env.ZERIO_TEST_NODE_OPTIONS ?? '', ...env }
  })
  const result = { code: null, signal: null, stdout: '', stderr: '', report: undefined }
  const waiting = new Set()
  let over = false
  const check = () => {
    for (const one of waiting) one()
  }
  child.stdin.on('error', () => {})
  child.stdout.setEncoding('utf8').on('data', (text) => {
    result.stdout += text
    check()
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    result.stderr += text
  })
  const guard = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(guard)
      over = true
      check()
      resolve({ ...result, code, signal, report: lastJson(result.stdout) })
    })
  })
  const line = (name) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = jsonLines(result.stdout).find((one) => name in one)
        if (found === undefined && !over) return
        waiting.delete(look)
        if (found !== undefined) resolve(found)
        else reject(new Error(`${script} ended without "${name}": ${result.stderr || result.stdout}`))
      }
      waiting.add(look)
      look()
    })
  return { child, ended, line, tell: (text) => child.stdin.write(`${text}\n`), killed: () => over }
}

/** Why this end counts as a failure, or undefined. */
export function troubleOf(result) {
  if (result.signal !== null) return `ended by ${result.signal}: ${tail(result)}`
  if (result.code !== 0) return `exit code ${result.code}: ${tail(result)}`
  if (result.report === undefined) return `no report: ${tail(result)}`
  return result.report.faults?.length > 0 ? result.report.faults.join('; ') : undefined
}

/** Calls `work(item)` for all items, `width` at a time. */
export async function inParallel(items, width, work) {
  const rest = [...items]
  const worker = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}

function tail({ stdout, stderr }) {
  return `${stderr}\n${stdout}`.trim().slice(-2000)
}

function jsonLines(text) {
  return text
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
}

function lastJson(text) {
  return jsonLines(text).at(-1)
}
