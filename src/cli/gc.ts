// `zerio gc`: runs a program, shows what it costs the garbage collector while it runs and when it has ended.
import { reportText } from '../gc/report.js'
import { durationText } from '../gc/text.js'
import { integerOf, numberOf, readFlags, splitAtProgram, UsageError } from './flags.js'
import type { GcState, GcTask } from './gc_channel.js'
import { Ending, exitCodeOf, exitOf, Forwarding, startProgram } from './gc_child.js'
import { GcFolder } from './gc_folder.js'
import { findProgram, type GcProgram } from './gc_program.js'
import { type GcTotal, isComplete, partsText, totalOf } from './gc_total.js'
import { LiveView, NoView, PlainView, type View } from './gc_view.js'

const help = `Usage: zerio gc [flags] <program> [arguments]

Runs a program and reports what its threads and those of the Node.js processes that it starts cost the garbage collector: bytes
allocated, collections and their pauses, the event loop's delay, and which functions allocate. Once a second while it runs, and all of
it at the end, on stderr. The program is

  app.js                 a file, as node runs it: CommonJS, ES module, or TypeScript where Node.js runs that
  node --flags app.js    Node.js with flags
  -e CODE, -p CODE       code for Node.js
  npm run x, tsx app.ts  a command: one of node_modules/.bin, or of PATH

  --seconds N   end the program after N seconds of measuring, 0.1 to 86400, if it has not ended before: with SIGTERM, and with
                SIGKILL 2 s later; exit code 0 then
  --warmup N    leave out the first N seconds, 0 to 3600 (default 0)
  --top N       name N allocating functions at the end, 0 to 1000 (default 10); 0 does not sample either
  --json        write the report to stdout as JSON, once, at the end; what the program writes there goes to stderr
  --help, -h    this text

Exit code: the program's; 128 plus its number when a signal ended the program; 0 after --seconds; 1 when the program's is 0 but it
ended within its warm-up, so that there is no report; 2 for a bad flag.
`

const options = {
  seconds: { type: 'string' },
  warmup: { type: 'string' },
  top: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' }
} as const

interface GcFlags {
  seconds: number
  warmup: number
  top: number
  json: boolean
}

const readEveryMs = 250
const showEveryMs = 1000
/** How long the other threads have for their last report when the first one has written its own. */
const timeUpMs = 1000
/** Of a program that ended well before it could report: who reads the report must not take nothing for one. */
const noReportCode = 1
/** Flags of Node.js that need no file. */
const evalFlags = new Set(['-e', '--eval', '-p', '--print', '-pe'])

/** Resolves with the exit code. */
export async function gc(args: string[]): Promise<number> {
  const { flags: flagArgs, program } = splitProgram(args)
  const values = readFlags(flagArgs, options)
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const flags: GcFlags = {
    seconds: numberOf('seconds', values.seconds, 0, 0.1, 86_400),
    warmup: numberOf('warmup', values.warmup, 0, 0, 3600),
    top: integerOf('top', values.top, 10, 0, 1000),
    json: values.json ?? false
  }
  if (program.length === 0) throw new UsageError('no program to run; zerio gc --help explains')
  return new Session(flags, findProgram(program)).run()
}

/** Code for Node.js is a program, and other flags of Node.js are a mistake whose remedy is known. */
function splitProgram(args: string[]): { flags: string[]; program: string[] } {
  const split = splitAtProgram(args, options)
  const names = Object.keys(options)
  const index = split.flags.findIndex((flag) => evalFlags.has(flag.split('=')[0]))
  if (index >= 0) return { flags: args.slice(0, index), program: ['node', ...args.slice(index)] }
  const foreign = split.flags.find(
    (flag) => flag.startsWith('--') && !names.includes(flag.slice(2).split('=')[0])
  )
  if (foreign !== undefined) {
    throw new UsageError(
      `unknown flag '${foreign}'; zerio gc --help names its own, and those of Node.js go behind it: zerio gc node ${foreign} ...`
    )
  }
  return split
}

/** One run of a program. */
class Session {
  readonly #folder: GcFolder
  readonly #task: GcTask
  readonly #view: View
  #states: GcState[] = []
  #shown: GcTotal | undefined
  #shownAtMs = 0

  constructor(
    private readonly flags: GcFlags,
    private readonly program: GcProgram
  ) {
    this.#task = {
      commandPid: process.pid,
      warmupMs: flags.warmup * 1000,
      measureMs: flags.seconds * 1000,
      topAllocators: flags.top
    }
    this.#folder = new GcFolder(this.#task)
    const { measureMs } = this.#task
    this.#view = flags.json ? new NoView() : process.stderr.isTTY ? new LiveView(measureMs) : new PlainView()
  }

  async run(): Promise<number> {
    try {
      return await this.#run()
    } finally {
      this.#folder.remove()
    }
  }

  async #run(): Promise<number> {
    const beganAtMs = Date.now()
    const child = startProgram(this.program, this.#folder.path, this.flags.json)
    const stateOfChild = () => this.#states.find(({ pid, threadId }) => pid === child.pid && threadId === 0)
    const forwarding = new Forwarding(child, stateOfChild)
    const ending = new Ending(child)
    const timer = setInterval(() => this.#look(ending), readEveryMs)
    const { code, signal } = await exitOf(child).finally(() => {
      clearInterval(timer)
      ending.dispose()
      forwarding.dispose()
      this.#view.close()
    })
    this.#states = this.#folder.read()
    if (ending.wasAsked) ending.endRest(this.#states)
    const endedBy = forwarding.endedBy ?? signal
    const isMeasured = this.#show(Date.now() - beganAtMs, ending.wasAsked ? null : endedBy)
    if (ending.wasAsked) return 0
    if (endedBy !== null) return exitCodeOf(endedBy)
    return code === 0 && !isMeasured ? noReportCode : (code ?? 1)
  }

  #look(ending: Ending): void {
    this.#states = this.#folder.read()
    const total = totalOf(this.#states, this.flags.top)
    const now = Date.now()
    const isNew = total !== undefined && total.elapsedMs !== this.#shown?.elapsedMs
    if (isNew && now - this.#shownAtMs >= showEveryMs) {
      if (this.#shown !== undefined) this.#view.update(this.#shown, total)
      this.#shown = total
      this.#shownAtMs = now
    }
    const over = this.#states.filter(({ kind }) => kind === 'timeUp')
    const first = Math.min(...over.map(({ writtenAtMs }) => writtenAtMs))
    const isOver = over.length > 0 && (this.#states.every(isComplete) || now - first > timeUpMs)
    if (isOver) ending.begin()
  }

  /** Whether there is a report. */
  #show(elapsedMs: number, signal: NodeJS.Signals | null): boolean {
    // A program that was stuck until it was killed has written no more than that it began.
    const isMeasured = ({ kind }: GcState) => kind !== 'started'
    const total = totalOf(this.#states.filter(isMeasured), this.flags.top)
    if (total === undefined) {
      process.stderr.write(`zerio gc: ${this.#whyNothing(elapsedMs, signal)}: there is no report\n`)
      return false
    }
    if (this.flags.json) {
      process.stdout.write(`${JSON.stringify(total)}\n`)
      return true
    }
    const why = signal === null ? 'threads ended without a last report' : `${signal} ended the program`
    const lastMs = Math.max(...this.#states.map(({ writtenAtMs }) => writtenAtMs))
    const missing =
      signal === null ? 'what came after their last one' : `its last ${durationText(Date.now() - lastMs)}`
    const incomplete = total.complete ? '' : ` (${why}: ${missing} is missing)`
    const parts = total.parts.length > 1 ? `\n${partsText(total.parts)}` : ''
    process.stderr.write(`zerio gc${incomplete}\n${reportText(total)}${parts}\n`)
    return true
  }

  #whyNothing(elapsedMs: number, signal: NodeJS.Signals | null): string {
    const how = signal === null ? 'ended' : `was ended by ${signal}`
    if (this.#states.length > 0) {
      return `the program ${how} after ${durationText(elapsedMs)} without a return to its event loop`
    }
    return this.flags.warmup > 0
      ? `the program ${how} before the warm-up was over`
      : `the program ${how} before it could report; only Node.js programs do`
  }
}
