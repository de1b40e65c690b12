// `zerio gc`: measures one or several runs of a program, shows what they cost the garbage collector, and checks it.
import { accessSync, constants, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { reportText } from '../gc/report.js'
import { integerOf, numberOf, readFlags, splitAtProgram, UsageError } from './flags.js'
import { Attachment } from './gc_attach.js'
import { type Budget, overBudget, readBudget } from './gc_budget.js'
import type { GcTask } from './gc_channel.js'
import { compareRuns, readRuns, saveRuns } from './gc_comparison.js'
import { mergedProfile } from './gc_details.js'
import { findInspector } from './gc_inspectors.js'
import { pageOf } from './gc_page.js'
import { findProgram } from './gc_program.js'
import { type Outcome, Session } from './gc_session.js'
import { type GcTotal, partsText } from './gc_total.js'

const help = `Usage: zerio gc [flags] <program> [arguments]
       zerio gc [flags] --attach <process>

Runs a program and reports what its threads and those of the Node.js processes that it starts cost the garbage collector: bytes
allocated, collections and their pauses, the event loop's delay, and which functions allocate. At most once a second while it runs, and all
of it at the end, on stderr. The program is

  app.js                 a file, as node runs it: CommonJS, ES module, or TypeScript where Node.js runs that
  node --flags app.js    Node.js with flags
  -e CODE, -p CODE       code for Node.js
  npm run x, tsx app.ts  a command: one of node_modules/.bin, or of PATH

  --seconds N     end the program after N seconds of measuring, 0.1 to 86400, if it has not ended before: with SIGTERM, and with
                  SIGKILL 2 s later; exit code 0 then
  --warmup N      leave out the first N seconds, 0 to 3600 (default 0)
  --top N         name N allocating functions at the end, 0 to 1000 (default 10); 0 does not sample either
  --json          write the report to stdout as JSON, one line for each run; what the program writes there goes to stderr
  --html FILE     write the report as a page for browsers, with a time line and a flame graph of allocations
  --profile FILE  write the stacks of allocating functions: FILE.heapprofile for Chrome's developer tools, FILE.pb.gz for pprof
  --runs N        run the program N times, 1 to 30 (default 1)
  --save FILE     keep the figures of the runs
  --compare FILE  compare the runs with those of an earlier --save; exit code 1 when the program allocates more, or when there are too
                  few runs to tell
  --attach WHICH  measure a process that runs already, for --seconds (default 10) or until Ctrl-C: its id, or HOST:PORT of its inspector
  --budget FILE   exit code 1 when a figure is above its limit in this file
  --help, -h      this text

Exit code: the program's; 128 plus its number when a signal ended the program; 0 after --seconds; 1 when the program's is 0 but it
ended within its warm-up, so that there is no report, or when --compare or --budget says so; 2 for a bad flag.
`

const options = {
  seconds: { type: 'string' },
  warmup: { type: 'string' },
  top: { type: 'string' },
  json: { type: 'boolean' },
  html: { type: 'string' },
  profile: { type: 'string' },
  runs: { type: 'string' },
  attach: { type: 'string' },
  save: { type: 'string' },
  compare: { type: 'string' },
  budget: { type: 'string' },
  help: { type: 'boolean', short: 'h' }
} as const

type GcFlags = ReturnType<typeof flagsOf>

/** Of a program that ended well before it could report, or that costs more than it may. */
const failedCode = 1
/** How long a process is measured that would go on without end. */
const attachMs = 10_000
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
  const flags = flagsOf(values)
  const before = values.compare === undefined ? undefined : readRuns(values.compare)
  const budget = values.budget === undefined ? undefined : readBudget(values.budget)
  const measure = measurementOf(flags, program)
  const totals: GcTotal[] = []
  for (let run = 1; run <= flags.runs; run++) {
    const outcome = await measure()
    show(outcome, flags, run)
    if (outcome.total === undefined) return outcome.exitCode || failedCode
    totals.push(outcome.total)
    // Whatever is wrong with a program is wrong with its next run.
    if (outcome.exitCode !== 0 || run === flags.runs) {
      writeFiles(outcome, flags)
      if (outcome.exitCode !== 0) return outcome.exitCode
    }
  }
  if (flags.save !== undefined) saveRuns(flags.save, totals)
  const lines = budget === undefined ? [] : linesOver(budget, totals)
  const comparison = before === undefined ? undefined : compareRuns(before, totals)
  if (comparison !== undefined) process.stderr.write(`zerio gc: ${comparison.text}\n`)
  for (const line of lines) process.stderr.write(`zerio gc: ${line}\n`)
  return lines.length > 0 || comparison?.isWorse ? failedCode : 0
}

/** Measures once. */
function measurementOf(flags: GcFlags, program: readonly string[]): () => Promise<Outcome> {
  const task: GcTask = {
    commandPid: process.pid,
    warmupMs: flags.warmup * 1000,
    measureMs: flags.seconds * 1000,
    topAllocators: flags.top,
    isDetailed: flags.html !== undefined || flags.profile !== undefined
  }
  const { attach } = flags
  if (attach === undefined) {
    if (program.length === 0) throw new UsageError('no program to run; zerio gc --help explains')
    const found = findProgram(program)
    return () => new Session(task, flags.json).run(found)
  }
  if (program.length > 0)
    throw new UsageError('--attach measures a process that runs already, and starts no program')
  if (task.warmupMs > 0)
    throw new UsageError('--warmup is for a program that starts, and --attach starts none')
  const attached = { ...task, measureMs: task.measureMs || attachMs }
  return async () => Attachment.run(await findInspector(attach), attached, flags.json)
}

function flagsOf(values: ReturnType<typeof readFlags<typeof options>>) {
  const flags = {
    seconds: numberOf('seconds', values.seconds, 0, 0.1, 86_400),
    warmup: numberOf('warmup', values.warmup, 0, 0, 3600),
    top: integerOf('top', values.top, 10, 0, 1000),
    attach: values.attach,
    runs: integerOf('runs', values.runs, 1, 1, 30),
    json: values.json ?? false,
    html: values.html,
    profile: values.profile,
    save: values.save
  }
  if (flags.profile !== undefined && !/\.(heapprofile|pb\.gz)$/.test(flags.profile)) {
    throw new UsageError(
      `--profile needs a name that ends with .heapprofile or .pb.gz, not '${flags.profile}'`
    )
  }
  if (flags.profile !== undefined && flags.top === 0) {
    throw new UsageError('--profile needs samples, and --top 0 takes none')
  }
  for (const name of ['html', 'profile', 'save'] as const) checkFolder(name, flags[name])
  return flags
}

/** Before the program runs: its figures would be lost. */
function checkFolder(flag: string, file: string | undefined): void {
  if (file === undefined) return
  try {
    accessSync(dirname(file), constants.W_OK)
  } catch {
    throw new UsageError(`--${flag} cannot write '${file}': its folder does not exist, or is read-only`)
  }
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

function show({ total, remark }: Outcome, flags: GcFlags, run: number): void {
  if (total === undefined) {
    process.stderr.write(`zerio gc: ${remark}: there is no report\n`)
    return
  }
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(total)}\n`)
    return
  }
  const which = flags.runs > 1 ? ` run ${run} of ${flags.runs}` : ''
  const incomplete = remark === '' ? '' : ` (${remark})`
  const parts = total.parts.length > 1 ? `\n${partsText(total.parts)}` : ''
  process.stderr.write(`zerio gc${which}${incomplete}\n${reportText(total)}${parts}\n`)
}

/** Of the last run. */
function writeFiles({ total, remark, details }: Outcome, { html, profile }: GcFlags): void {
  if (total === undefined || (html === undefined && profile === undefined)) return
  const merged = mergedProfile(details)
  if (html !== undefined) writeFileSync(html, pageOf(total, remark, details, merged))
  if (profile !== undefined) {
    writeFileSync(profile, profile.endsWith('.pb.gz') ? merged.toPprof() : merged.toHeapProfile())
  }
}

/** What each run is above its budget, with the number of the run where there are several. */
function linesOver(budget: Budget, totals: readonly GcTotal[]): string[] {
  return totals.flatMap((total, i) =>
    overBudget(budget, total).map((line) => (totals.length > 1 ? `run ${i + 1}: ${line}` : line))
  )
}
