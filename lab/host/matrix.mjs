// One combination of Node, backend, wait strategy and variant: a sender and its observer, and a verdict for each source.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { endings } from './endings.mjs'
import { Observer } from './observer.mjs'
import { sources } from './sources.mjs'

const HEARTBEAT_MS = 400
const SENDER_MS_MAX = 120_000
const ENDING_MS_MAX = 15_000
const ERROR_TEXT_CHARS = 600

const path = (name) => fileURLToPath(new URL(name, import.meta.url))

/**
 * @typedef {object} Combination
 * @property {string} node path of the program
 * @property {string} backend
 * @property {string} strategy
 * @property {'quiet' | 'heartbeats' | 'busy' | 'worker'} variant nothing else; heartbeats; a message every millisecond on both
 *   connections; all of it in a worker thread
 */

/** The variants that make sense for a wait strategy. The variants change nothing about a manual engine, which does nothing by itself. */
export const variantsOf = (strategy) =>
  strategy === 'manual' ? ['quiet', 'worker'] : ['quiet', 'heartbeats', 'busy', 'worker']

const isApplicable = ({ mainOnly, needsLoop }, { strategy, variant }) =>
  !(mainOnly && variant === 'worker') && !(needsLoop && strategy === 'manual')

/** The sources that this combination has, of those that `wanted` takes. */
export const sourcesOf = (combination, wanted = () => true) =>
  Object.keys(sources).filter((name) => wanted(name) && isApplicable(sources[name], combination))

/** The endings that this combination has; they do not depend on heartbeats or traffic. */
export const endingsOf = (combination, wanted = () => true) =>
  combination.variant === 'quiet'
    ? Object.keys(endings).filter((name) => wanted(name) && isApplicable(endings[name], combination))
    : []

const optionsOf = ({ strategy, backend, variant }) => ({
  waitStrategy: strategy,
  backend,
  heartbeatMs: variant === 'heartbeats' ? HEARTBEAT_MS : 0
})

function startChild(node, script, settings, timeoutMs) {
  const child = spawn(node, ['--expose-gc', path(script), JSON.stringify(settings)], {
    stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, NODE_OPTIONS: '' }
  })
  // The channel keeps no child alive that does not listen to it.
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  child.stdout.resume()
  const guard = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(guard)
      resolve({ code, signal, stderr: stderr.trim() })
    })
  })
  return { child, ended }
}

/**
 * Runs the sources of one combination in one process.
 * @param {Combination} combination
 * @param {{ names: string[], rounds?: number, liesMs?: number }} choice `liesMs`: for how long the program keeps its messages back
 * @returns {Promise<Map<string, { ok: boolean, text: string }>>} of each source
 */
export async function runSources(combination, { names, rounds = 2, liesMs = 0 }) {
  const results = new Map()
  if (names.length === 0) return results
  const observer = await Observer.start({ busy: combination.variant === 'busy' })
  try {
    const { ports } = observer
    const inWorker = combination.variant === 'worker'
    const settings = { ports, options: optionsOf(combination), names, rounds, inWorker, liesMs }
    const { child, ended } = startChild(combination.node, 'sender.mjs', settings, SENDER_MS_MAX)
    observer.process = child
    const { code, signal, stderr } = await ended
    for (const name of names) {
      results.set(name, observer.results.get(name) ?? { ok: false, text: 'the sender did not get so far' })
    }
    const trouble = [...observer.faults.slice(0, 5), ...observer.unexplained, stderr]
      .filter((text) => text !== '')
      .join('; ')
    const whole = trouble === '' && code === 0
    const text = `ended with ${signal ?? code}: ${trouble.slice(0, ERROR_TEXT_CHARS)}`
    results.set('the sender as a whole', { ok: whole, text })
  } finally {
    observer.close()
  }
  return results
}

/** Runs one ending in a process of its own. */
export async function runEnding(combination, name) {
  const { code, says = '', lossy = false } = endings[name]
  const observer = await Observer.start()
  try {
    const settings = { ports: observer.ports, options: optionsOf(combination), name }
    const { ended } = startChild(combination.node, 'ending.mjs', settings, ENDING_MS_MAX)
    const result = await ended
    // What the system has taken must still cross the loopback interface.
    for (let waits = 0; waits < 400 && !observer.isSilent; waits++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const trouble = []
    const missing = observer.missing(name)
    if (missing !== undefined && !lossy) trouble.push(missing)
    if (result.code !== code) trouble.push(`ended with ${result.signal ?? result.code} instead of ${code}`)
    if (says === '' ? result.stderr !== '' : !result.stderr.includes(says)) {
      trouble.push(`said: ${result.stderr.slice(0, ERROR_TEXT_CHARS)}`)
    }
    trouble.push(...observer.faults.slice(0, 3))
    return { ok: trouble.length === 0, text: trouble.join('; ') }
  } finally {
    observer.close()
  }
}
