// Starts the measured programs, reads the JSON lines they print, and sees to it that none outlives this process.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'

const DEADLINE_MS = 300_000
const EXIT_DEADLINE_MS = 5_000
const ERROR_TEXT_CHARS = 2_000

const children = new Set()

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}

export class Program {
  /** Lines of stdout that were not JSON (V8's traces). */
  otherLines = []
  #name
  #child
  #results = []
  #waiting = null
  #failure = null
  #errorText = ''
  #exited

  /**
   * @param {string} command
   * @param {(string | number)[]} args
   * @param {Record<string, string>} environment added to this process's own
   */
  constructor(command, args, environment = {}) {
    this.#name = [basename(command), ...args].map((part) => basename(String(part))).join(' ')
    this.#child = spawn(command, args.map(String), { env: { ...process.env, ...environment } })
    children.add(this.#child)
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#errorText = (this.#errorText + text).slice(-ERROR_TEXT_CHARS)
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line))
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => this.#end(`could not start: ${error.message}`, resolve))
      this.#child.once('close', (code, signal) => this.#end(`ended with ${signal ?? code}`, resolve, code))
    })
  }

  get pid() {
    return this.#child.pid
  }

  /** Why the program has ended, or null while it runs. */
  get end() {
    return this.#failure === null ? null : this.#error(this.#failure)
  }

  /** The next object that the program prints. */
  async next(deadlineMs = DEADLINE_MS) {
    if (this.#results.length > 0) return this.#results.shift()
    if (this.#failure !== null) throw this.#error(`${this.#failure} before it had reported`)
    const { promise, resolve, reject } = withResolvers()
    this.#waiting = { resolve, reject }
    const timer = setTimeout(
      () => reject(this.#error(`reported nothing for ${deadlineMs / 1000} s`)),
      deadlineMs
    )
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting = null
    }
  }

  /** Gives the program a line on stdin. */
  write(line) {
    this.#child.stdin.write(`${line}\n`)
  }

  /** Waits for the program to end by itself, successfully and soon. */
  async finish() {
    let timer
    const late = new Promise((_resolve, reject) => {
      const sentence = `had not ended ${EXIT_DEADLINE_MS / 1000} s after its last report`
      timer = setTimeout(() => reject(this.#error(sentence)), EXIT_DEADLINE_MS)
    })
    try {
      const code = await Promise.race([this.#exited, late])
      if (code !== 0) throw this.#error(this.#failure)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends the program if it still runs. */
  async kill() {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  #take(line) {
    if (!line.startsWith('{')) {
      this.otherLines.push(line)
      return
    }
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting === null) this.#results.push(JSON.parse(line))
    else waiting.resolve(JSON.parse(line))
  }

  #end(failure, resolve, code) {
    children.delete(this.#child)
    this.#failure ??= failure
    this.#waiting?.reject(this.#error(`${failure} before it had reported`))
    resolve(code)
  }

  #error(sentence) {
    const text = this.#errorText.trim()
    return new Error(`${this.#name} ${sentence}${text === '' ? '' : `: ${text}`}`)
  }
}

/** Runs a program that reports once and ends. */
export async function runProgram(command, args) {
  const program = new Program(command, args)
  try {
    const result = await program.next()
    await program.finish()
    return result
  } finally {
    await program.kill()
  }
}

/**
 * Runs the two sides of a connection, each in a Node process of its own. The server reports its port, then each side
 * reports one result and ends; the client is given --port.
 * @typedef {object} Side
 * @property {string} script
 * @property {(string | number)[]} flags
 * @property {Record<string, string>} [environment]
 * @property {string} [command] another program than Node that runs the script
 * @param {Side} server
 * @param {Side} client
 * @param {string[]} nodeFlags
 */
export async function runPair(server, client, nodeFlags = []) {
  const programs = []
  const start = (side, flags) => {
    const args = [...(side.command ? [] : nodeFlags), side.script, ...side.flags, ...flags]
    const program = new Program(side.command ?? process.execPath, args, side.environment)
    programs.push(program)
    return program
  }
  try {
    const serverProgram = start(server, [])
    const { port } = await serverProgram.next()
    const clientProgram = start(client, ['--port', port])
    const [serverResult, clientResult] = await Promise.all([serverProgram.next(), clientProgram.next()])
    await Promise.all([serverProgram.finish(), clientProgram.finish()])
    return {
      server: serverResult,
      client: clientResult,
      serverLines: serverProgram.otherLines,
      clientLines: clientProgram.otherLines
    }
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

function withResolvers() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
