// Loaded into each program and worker under `zerio gc`: measures its thread, and writes what it finds into the command's folder.
//
// It keeps no event loop alive and adds no listener of signals, so that the program behaves as without it.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { performance } from 'node:perf_hooks'
import { isMainThread, threadId } from 'node:worker_threads'
import { holdSweeping } from '../gc/buffer_sweeping.js'
import { Run } from '../gc/run.js'
import { beginningFile, type GcState, type GcTask, profileFile, stateFile, taskFile } from './gc_channel.js'
import { Timeline } from './gc_timeline.js'
import { watchMessages } from './gc_watched_messages.js'
import { handledSignals, watchEndingSignals } from './gc_watched_signals.js'
import { Histogram } from './histogram.js'

/** The first reports come soon, because many workers live shortly; later ones when a twentieth more of the time is over, or later. */
const reportMsMin = 50
const reportMsMax = 1000
const reportShare = 0.05
/** The shortest time between two turns, each of which takes 40 microseconds. */
const turnMsMin = 3
/** Before a message: in front of the first report there is that much work, too. */
const messageMsMin = 5
/** And so many profilers may be left behind at any rate, because nothing comes after the last message. */
const messageProfilersFree = 30
/** A whole program allocates so much that fewer samples are enough, and each costs microseconds. */
const samplingBytes = 131_072

// Programs replace these, tests above all.
const { setTimeout } = globalThis
const files = { renameSync, writeFileSync }
const utilization = performance.eventLoopUtilization.bind(performance)
const clock = {
  nowMs: performance.now.bind(performance),
  /** How long the event loop has waited; 0 before it begins. */
  idleMs: () => utilization().idle
}

class Reporter {
  readonly #pauses = new Histogram()
  readonly #file: string
  readonly #timeline = new Timeline()
  readonly #isChildOfCommand: boolean
  #run: Run | undefined
  #startedAtMs = 0
  #beganMs = 0
  #kind: GcState['kind'] = 'started'
  #wasSignalled = false
  #isEnding = false
  #isRead = true
  #lookedMs = 0
  #beganIdleMs = 0
  #reportedActiveMs = 0

  constructor(
    private readonly folder: string,
    private readonly task: GcTask,
    /** Called at the end, when the program began before the command and goes on after it. */
    private readonly onEnd?: () => void
  ) {
    this.#file = stateFile(folder, process.pid, threadId)
    this.#isChildOfCommand = isMainThread && process.ppid === task.commandPid
  }

  /** Whether it is in the middle of a report, which must not be interrupted. */
  get isBusy(): boolean {
    return this.#isEnding || (this.#run?.isTaking ?? false)
  }

  begin(): void {
    const { topAllocators } = this.task
    // Another thread's end must not change how this one's Buffers are freed.
    if (this.onEnd === undefined) holdSweeping()
    this.#startedAtMs = Date.now()
    this.#beganMs = clock.nowMs()
    this.#beganIdleMs = clock.idleMs()
    this.#run = new Run(
      {
        samplingBytes: topAllocators > 0 ? samplingBytes : 0,
        topAllocators,
        // It needs a setting of V8 that belongs to the whole process, whose other threads run already.
        external: this.onEnd === undefined,
        loopResolutionMs: 10
      },
      undefined,
      (ns) => {
        this.#pauses.record(Math.min(Math.round(ns / 1000), 2 ** 31 - 1))
        this.#timeline.pause(ns / 1e6)
      },
      false
    )
    if (this.onEnd !== undefined) {
      this.#run.notes.push('Memory outside of the heap is not counted in a process that ran already.')
    }
    this.#write()
    this.#reportLater(this.#run)
  }

  end(kind: 'timeUp' | 'final'): void {
    if (this.#run === undefined) return
    const run = this.#run
    this.#isEnding = true
    run.end(this.onEnd === undefined, this.task.isDetailed ? Number.POSITIVE_INFINITY : undefined)
    this.#kind = kind
    this.#writeProfile(run)
    this.#write()
    this.#run = undefined
    this.#isEnding = false
    this.onEnd?.()
  }

  /** A signal ends the program now, or the program handles it. */
  signalled(endsProgram: boolean): void {
    this.#wasSignalled = true
    if (endsProgram) this.end('final')
    else if (this.#run !== undefined) this.#run.take(() => this.#write())
  }

  /**
   * The thread is about to send a message. Whoever gets it may end the thread at once: test runners do so when they have the result. So it
   * reports before, when it has worked for another twentieth of its time since the last report.
   */
  beforeMessage(): void {
    const run = this.#run
    const now = clock.nowMs()
    if (run === undefined || this.isBusy || now - this.#lookedMs < messageMsMin) return
    this.#lookedMs = now
    const activeMs = this.#activeMs
    if (activeMs - this.#reportedActiveMs < Math.max(messageMsMin, activeMs * reportShare)) return
    this.#reportLive((write) => run.takeWhenDue(messageMsMin, write, messageProfilersFree))
  }

  get #elapsedMs(): number {
    return clock.nowMs() - this.#beganMs
  }

  /** How long the thread has worked. */
  get #activeMs(): number {
    return this.#elapsedMs - (clock.idleMs() - this.#beganIdleMs)
  }

  /** `take` writes when it is due, and returns whether it was. So does this. */
  #reportLive(take: (write: () => void) => boolean): boolean {
    this.#kind = 'live'
    const isDue = take(() => this.#write())
    if (isDue) this.#reportedActiveMs = this.#activeMs
    return isDue
  }

  #reportLater(run: Run): void {
    const dueMs = Math.min(reportMsMax, Math.max(reportMsMin, this.#elapsedMs * reportShare))
    const { calmMs } = run
    const turns = calmMs >= turnMsMin && calmMs < dueMs
    setTimeout(
      () => {
        if (this.#run === undefined) return
        const isDue = this.#reportLive((write) =>
          turns ? run.turn(dueMs, write) : run.takeWhenDue(dueMs, write)
        )
        if (isDue || !turns) this.#lookForCommand()
        if (this.#isRead) this.#reportLater(run)
        else this.end('final')
      },
      turns ? calmMs : dueMs
    ).unref()
  }

  #lookForCommand(): void {
    if (this.#isChildOfCommand && process.ppid !== this.task.commandPid) {
      // The command is gone, and with it who wanted to know and who would end the program.
      process.kill(process.pid, 'SIGTERM')
    }
    if (this.onEnd !== undefined && !isAlive(this.task.commandPid)) this.#isRead = false
  }

  /** Before the last report, so that whoever reads that finds the stacks. */
  #writeProfile(run: Run): void {
    const profile = this.task.isDetailed ? run.profile() : undefined
    if (profile === undefined) return
    try {
      files.writeFileSync(profileFile(this.folder, process.pid, threadId), JSON.stringify(profile))
    } catch {
      // As below.
    }
  }

  #write(): void {
    const run = this.#run
    if (run === undefined) return
    const report = run.data(0, 0)
    if (this.task.isDetailed) this.#timeline.add(report, run.meter)
    const state: GcState = {
      kind: this.#kind,
      pid: process.pid,
      parentPid: process.ppid,
      threadId,
      name: nameOfThread(),
      startedAtMs: this.#startedAtMs,
      writtenAtMs: Date.now(),
      handledSignals: isMainThread ? handledSignals() : [],
      wasSignalled: this.#wasSignalled,
      report,
      pauses: this.#pauses.entries(),
      timeline: this.#timeline.points
    }
    try {
      files.writeFileSync(`${this.#file}.new`, JSON.stringify(state))
      files.renameSync(`${this.#file}.new`, this.#file)
    } catch {
      // The command is gone and has removed its folder; the program is not to blame.
      this.#isRead = false
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function nameOfThread(): string {
  const [, file] = process.argv
  const program = file === undefined ? '' : ` ${basename(file)}`
  return isMainThread ? `node${program || ' (no file)'}` : `worker ${threadId}${program}`
}

/** When the first program of the task began; this one, if there was none. */
function beginning(folder: string): number {
  const now = Date.now()
  try {
    writeFileSync(beginningFile(folder), String(now), { flag: 'wx' })
    return now
  } catch {
    return Number(readFileSync(beginningFile(folder), 'utf8')) || now
  }
}

/** Called by the file that NODE_OPTIONS names. */
export function reportInto(folder: string): void {
  let task: GcTask
  try {
    task = JSON.parse(readFileSync(taskFile(folder), 'utf8')) as GcTask
  } catch {
    // A process that outlived the command.
    return
  }
  const reporter = new Reporter(folder, task)
  // The clock may be set back.
  const passedMs = Math.max(0, Date.now() - beginning(folder))
  const warmupMs = task.warmupMs - passedMs
  if (warmupMs > 0) setTimeout(() => reporter.begin(), warmupMs).unref()
  else reporter.begin()
  if (task.measureMs > 0) {
    const measureMs = task.warmupMs + task.measureMs - passedMs
    setTimeout(() => reporter.end('timeUp'), Math.max(0, measureMs)).unref()
  }
  process.on('exit', () => reporter.end('final'))
  watchMessages(() => reporter.beforeMessage())
  if (isMainThread) watchEndingSignals((endsProgram) => reporter.signalled(endsProgram))
}

let attached: Reporter | undefined

/** Called through the inspector of a thread that runs already. */
export function attachTo(folder: string): void {
  if (attached !== undefined) throw new Error('another zerio gc measures it now')
  const task = JSON.parse(readFileSync(taskFile(folder), 'utf8')) as GcTask
  const onExit = () => reporter.end('final')
  const reporter = new Reporter(folder, task, () => {
    process.off('exit', onExit)
    attached = undefined
  })
  attached = reporter
  process.on('exit', onExit)
  reporter.begin()
}

/** Ends what {@link attachTo} began, at once or soon: the thread is then as before. */
export function detach(): void {
  if (attached?.isBusy) setImmediate(detach)
  else attached?.end('timeUp')
}
