// One run of a program under `zerio gc`, from its start to its end, and what its threads have reported.
import { durationText } from '../gc/text.js'
import type { GcState, GcTask } from './gc_channel.js'
import { Ending, exitCodeOf, exitOf, Forwarding, startProgram } from './gc_child.js'
import type { ThreadDetails } from './gc_details.js'
import { GcFolder } from './gc_folder.js'
import type { GcProgram } from './gc_program.js'
import { type GcTotal, isComplete, totalOf } from './gc_total.js'
import { LiveView, NoView, PlainView, type View } from './gc_view.js'

const readEveryMs = 250
const showEveryMs = 1000
/** How long the other threads have for their last report when the first one has written its own. */
const timeUpMs = 1000

/** What came of a run. */
export interface Outcome {
  /** The program's, or what stands for it. */
  exitCode: number
  /** `undefined`: there is no report, and `remark` says why. */
  total: GcTotal | undefined
  /** What the report lacks, or why there is none; may be empty. */
  remark: string
  /** For a detailed task. */
  details: ThreadDetails[]
}

/** Shows what the threads have reported, at most once a second. */
export class Viewing {
  readonly #view: View
  #shown: GcTotal | undefined
  #shownAtMs = 0

  constructor(
    private readonly task: GcTask,
    isSilent: boolean
  ) {
    const { measureMs } = task
    this.#view = isSilent ? new NoView() : process.stderr.isTTY ? new LiveView(measureMs) : new PlainView()
  }

  look(states: readonly GcState[]): void {
    const total = totalOf(states, this.task.topAllocators)
    const now = Date.now()
    const isNew = total !== undefined && total.elapsedMs !== this.#shown?.elapsedMs
    if (!isNew || now - this.#shownAtMs < showEveryMs) return
    if (this.#shown !== undefined) this.#view.update(this.#shown, total)
    this.#shown = total
    this.#shownAtMs = now
  }

  close(): void {
    this.#view.close()
  }
}

export class Session {
  readonly #folder: GcFolder
  readonly #viewing: Viewing
  #states: GcState[] = []

  /** `printsToStderr`: what the program writes to its stdout goes there, because the report is on stdout. */
  constructor(
    private readonly task: GcTask,
    private readonly printsToStderr: boolean
  ) {
    this.#folder = new GcFolder(task)
    this.#viewing = new Viewing(task, printsToStderr)
  }

  async run(program: GcProgram): Promise<Outcome> {
    try {
      return await this.#run(program)
    } finally {
      this.#folder.remove()
    }
  }

  async #run(program: GcProgram): Promise<Outcome> {
    const beganAtMs = Date.now()
    const child = startProgram(program, this.#folder.path, this.printsToStderr)
    const stateOfChild = () => this.#states.find(({ pid, threadId }) => pid === child.pid && threadId === 0)
    const forwarding = new Forwarding(child, stateOfChild)
    const ending = new Ending(child)
    const timer = setInterval(() => this.#look(ending), readEveryMs)
    const { code, signal } = await exitOf(child).finally(() => {
      clearInterval(timer)
      ending.dispose()
      forwarding.dispose()
      this.#viewing.close()
    })
    this.#states = this.#folder.read()
    if (ending.wasAsked) ending.endRest(this.#states)
    const endedBy = forwarding.endedBy ?? signal
    const exitCode = ending.wasAsked ? 0 : endedBy !== null ? exitCodeOf(endedBy) : (code ?? 1)
    const reason = ending.wasAsked ? null : endedBy
    const whyNothing = this.#whyNothing(Date.now() - beganAtMs, reason)
    return outcomeOf(this.#states, this.#folder, this.task, exitCode, whyNothing, reason)
  }

  #look(ending: Ending): void {
    this.#states = this.#folder.read()
    this.#viewing.look(this.#states)
    const over = this.#states.filter(({ kind }) => kind === 'timeUp')
    const first = Math.min(...over.map(({ writtenAtMs }) => writtenAtMs))
    const isOver = over.length > 0 && (this.#states.every(isComplete) || Date.now() - first > timeUpMs)
    if (isOver) ending.begin()
  }

  #whyNothing(elapsedMs: number, signal: NodeJS.Signals | null): string {
    const how = signal === null ? 'ended' : `was ended by ${signal}`
    if (this.#states.length > 0) {
      return `the program ${how} after ${durationText(elapsedMs)} without a return to its event loop`
    }
    return this.task.warmupMs > 0
      ? `the program ${how} before the warm-up was over`
      : `the program ${how} before it could report; only Node.js programs do`
  }
}

/** `signal` ended the program, unless it is `null`. */
export function outcomeOf(
  all: readonly GcState[],
  folder: GcFolder,
  task: GcTask,
  exitCode: number,
  whyNothing: string,
  signal: NodeJS.Signals | null = null
): Outcome {
  // A program that was stuck until it was killed has written no more than that it began.
  const states = all.filter(({ kind }) => kind !== 'started')
  const total = totalOf(states, task.topAllocators)
  const details = states.map((state) => ({ state, profile: folder.readProfile(state) }))
  const remark = total === undefined ? whyNothing : total.complete ? '' : whatIsMissing(all, signal)
  return { exitCode, total, remark, details }
}

function whatIsMissing(states: readonly GcState[], signal: NodeJS.Signals | null): string {
  if (signal === null) return 'threads ended without a last report: what came after their last one is missing'
  const lastMs = Math.max(...states.map(({ writtenAtMs }) => writtenAtMs))
  return `${signal} ended the program: its last ${durationText(Date.now() - lastMs)} is missing`
}
