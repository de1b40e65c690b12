// `zerio gc`: runs a program, shows what it costs the garbage collector while it runs and when it has ended.
import { type ChildProcess, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { GcReportData } from '../gc/report.js'
import { reportText } from '../gc/report.js'
import { bytesText, countText, durationText, functionText, percentText, placeText } from '../gc/text.js'
import { BottomLines } from './bottom_lines.js'
import { integerOf, numberOf, readFlags, splitAtProgram, UsageError } from './flags.js'
import { type GcMessage, type GcTask, reportDescriptor, taskVariable } from './gc_channel.js'

const help = `Usage: zerio gc [flags] <program> [arguments]

Runs a Node.js program (CommonJS or ES module) and reports what its main thread costs the garbage collector: bytes allocated,
collections and their pauses, the event loop's delay, and which functions allocate. Once a second while it runs, and all of it at
the end, on stderr. Node's own flags: NODE_OPTIONS='--max-semi-space-size=32' zerio gc <program>.

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

/** How long a program may take to end after SIGTERM. */
const endLimitMs = 2000
/** Processes that the program left behind may hold its pipe open. */
const lastReportLimitMs = 1000
/** Of a program that ended well before it could report: who reads the report must not take nothing for one. */
const noReportCode = 1

/** Resolves with the exit code. */
export async function gc(args: string[]): Promise<number> {
  const { flags: flagArgs, program } = splitAtProgram(args, options)
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
  const [file, ...programArgs] = program
  return run(flags, findProgram(file), programArgs)
}

/** As `node <file>` finds it. */
function findProgram(file: string): string {
  const path = resolve(file)
  try {
    return createRequire(path).resolve(path)
  } catch {
    throw new UsageError(`no program '${file}'`)
  }
}

async function run(flags: GcFlags, file: string, programArgs: string[]): Promise<number> {
  const task: GcTask = {
    parentPid: process.pid,
    warmupMs: flags.warmup * 1000,
    measureMs: flags.seconds * 1000,
    topAllocators: flags.top
  }
  const preload = join(__dirname, 'gc_preload.js')
  const child = spawn(process.execPath, [...process.execArgv, '--require', preload, file, ...programArgs], {
    stdio: ['inherit', flags.json ? 2 : 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, [taskVariable]: JSON.stringify(task) }
  })
  const view: View = flags.json ? new NoView() : process.stderr.isTTY ? new LiveView(flags) : new PlainView()
  const stopForwarding = forwardSignals(child)
  const ending = new Ending(child)
  let last: GcReportData | undefined
  let isFinal = false

  const lines = createInterface({ input: child.stdio[reportDescriptor] as Readable })
  lines.on('line', (line) => {
    const message = parsed(line)
    if (message === undefined) return
    if (message.kind === 'live' && last !== undefined) view.update(last, message.report)
    last = message.report
    isFinal = message.kind === 'timeUp' || message.kind === 'final'
    if (message.kind === 'timeUp') ending.begin()
  })
  const allRead = new Promise<void>((resolve) => {
    lines.on('close', resolve)
  })

  const { code, signal } = await exitOf(child)
  const timer = setTimeout(() => lines.close(), lastReportLimitMs)
  await allRead
  clearTimeout(timer)
  ;(child.stdio[reportDescriptor] as Readable).destroy()
  ending.dispose()
  stopForwarding()
  view.close()
  show(flags, last, isFinal)
  if (ending.wasAsked) return 0
  if (signal !== null) return 128 + constants.signals[signal]
  return code === 0 && last === undefined ? noReportCode : (code ?? 1)
}

/** The last line of a program that was killed may have no end. */
function parsed(line: string): GcMessage | undefined {
  try {
    return JSON.parse(line) as GcMessage
  } catch {
    return undefined
  }
}

function show(flags: GcFlags, report: GcReportData | undefined, isFinal: boolean): void {
  if (report === undefined) {
    const why = flags.warmup > 0 ? 'before the warm-up was over' : 'before it could report'
    process.stderr.write(`zerio gc: the program ended ${why}: there is no report\n`)
  } else if (flags.json) {
    process.stdout.write(`${JSON.stringify({ ...report, complete: isFinal })}\n`)
  } else {
    const incomplete = isFinal
      ? ''
      : ' (a signal ended the program: what came after its last report is missing)'
    process.stderr.write(`zerio gc${incomplete}\n${reportText(report)}\n`)
  }
}

function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
}

/** Ends the program when the measured time is over. */
class Ending {
  wasAsked = false
  #timer: NodeJS.Timeout | undefined

  constructor(private readonly child: ChildProcess) {}

  begin(): void {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.wasAsked = true
    this.child.kill('SIGTERM')
    this.#timer = setTimeout(() => this.child.kill('SIGKILL'), endLimitMs)
  }

  dispose(): void {
    clearTimeout(this.#timer)
  }
}

/**
 * The program decides what a signal means to it. A terminal's Ctrl-C has reached it already, so the first SIGINT is passed on only
 * where there is no terminal. The third ends a program that ignores them.
 */
function forwardSignals(child: ChildProcess): () => void {
  let interrupts = 0
  const interrupt = () => {
    interrupts++
    if (interrupts > 2) child.kill('SIGKILL')
    else if (interrupts > 1 || !process.stdin.isTTY) child.kill('SIGINT')
  }
  const terminate = () => child.kill('SIGTERM')
  const hangUp = () => child.kill('SIGHUP')
  process.on('SIGINT', interrupt).on('SIGTERM', terminate).on('SIGHUP', hangUp)
  return () => process.off('SIGINT', interrupt).off('SIGTERM', terminate).off('SIGHUP', hangUp)
}

/** What the user sees while the program runs; `report` holds all since the start, `before` what it was one report earlier. */
interface View {
  update(before: GcReportData, report: GcReportData): void
  close(): void
}

class NoView implements View {
  update(): void {}
  close(): void {}
}

class PlainView implements View {
  update(before: GcReportData, report: GcReportData): void {
    process.stderr.write(`zerio gc  ${durationText(report.elapsedMs)}  ${secondText(before, report)}\n`)
  }
  close(): void {}
}

class LiveView implements View {
  readonly #lines = new BottomLines(process.stderr, 4)

  constructor(private readonly flags: GcFlags) {}

  update(before: GcReportData, report: GcReportData): void {
    const { elapsedMs, heapBytes, collections, pauses, eventLoop, topAllocators } = report
    const whole = this.flags.seconds > 0 ? ` of ${durationText(this.flags.seconds * 1000)}` : ''
    const top = topAllocators.slice(0, 3).map((one) => {
      const name = one.functionName === '' ? placeText(one) : one.functionName
      return `${percentText(one.share)} ${name || functionText(one)}`
    })
    // Each fits 80 columns.
    this.#lines.draw([
      `-- zerio gc  ${durationText(elapsedMs)}${whole} `.padEnd(60, '-'),
      `now  ${secondText(before, report)}`,
      `all  ${bytesText(heapBytes)}  ${countText(collections.minor)} minor  ${countText(collections.major)} major  ` +
        `pause p99 ${durationText(pauses.p99Us / 1000)}, max ${durationText(pauses.maxUs / 1000)}  ` +
        `delay p99 ${durationText(eventLoop.p99Ms)}`,
      `top  ${top.join(', ')}`
    ])
  }

  close(): void {
    this.#lines.close()
  }
}

/** What happened between two reports. */
function secondText(before: GcReportData, report: GcReportData): string {
  const elapsedMs = report.elapsedMs - before.elapsedMs
  const perSecond = (bytes: number) => `${bytesText((bytes * 1000) / elapsedMs)}/s`
  const external = (report.externalBytes ?? 0) - (before.externalBytes ?? 0)
  const pausedMs = report.pauses.totalMs - before.pauses.totalMs
  return [
    `heap ${perSecond(report.heapBytes - before.heapBytes)}`,
    `external ${perSecond(external)}`,
    `${countText(report.collections.minor - before.collections.minor)} minor`,
    `${countText(report.collections.major - before.collections.major)} major`,
    `paused ${percentText(pausedMs / elapsedMs)}`
  ].join('  ')
}
