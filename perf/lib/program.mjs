// What every measured program needs: its flags, the line that reports a result, and an end of its own when its parent is gone.
import { writeSync } from 'node:fs'
import { parseArgs } from 'node:util'

const DEADLINE_MS = 600_000

// A program whose runner was killed must not spin for ever. The timer keeps nothing alive by itself.
const deadline = setTimeout(() => fail('this program was not ended in time'), DEADLINE_MS).unref()

/** For programs that may run for longer: they end when the starter does, because it has the other end of stdin. */
export function endWithStdin() {
  clearTimeout(deadline)
  process.stdin.resume().on('end', () => process.exit())
}

/**
 * Reads `--name value` flags. The defaults give the names and the types (number, string or boolean).
 * @template {Record<string, number | string | boolean>} T
 * @param {T} defaults
 * @returns {T}
 */
export function readFlags(defaults) {
  const options = {}
  for (const [name, value] of Object.entries(defaults)) {
    options[name] = { type: typeof value === 'boolean' ? 'boolean' : 'string' }
  }
  const { values } = parseArgs({ options })
  const flags = { ...defaults }
  for (const [name, text] of Object.entries(values)) {
    flags[name] = typeof defaults[name] === 'number' ? Number(text) : text
    if (Number.isNaN(flags[name])) throw new Error(`--${name} needs a number, not ${text}`)
  }
  return flags
}

/** The flags of both sides of a ping-pong. */
export const PING_PONG_FLAGS = {
  strategy: 'blocking',
  backend: 'auto',
  warmup: 2_000,
  count: 20_000,
  meter: false,
  session: false
}

/** The flags of both sides of long messages. */
export const LONG_FLAGS = {
  strategy: 'blocking',
  backend: 'auto',
  bytes: 0,
  echo: false,
  warmupMs: 300,
  durationMs: 1000
}

/** Prints one line of JSON on stdout for the program that started this one. */
export function report(result) {
  writeSync(1, `${JSON.stringify(result)}\n`)
}

/** Ends the program with a sentence on stderr. */
export function fail(sentence) {
  writeSync(2, `${sentence}\n`)
  process.exit(1)
}
