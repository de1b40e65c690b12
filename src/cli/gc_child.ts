// The program under `zerio gc`: started so that it reports, with all that the command itself was given for it, and ended in time.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { type GcState, preloadOption, quoted } from './gc_channel.js'
import type { GcProgram } from './gc_program.js'

/** How long a program may take to end after SIGTERM. */
const endLimitMs = 2000
/** A program that does not even see the signal within this is stuck in a loop of its own. */
const stuckMs = 2000
/** What users and supervisors send. A process cannot listen for SIGKILL and SIGSTOP. */
const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const

/** `printsToStderr`: what it writes to its stdout goes there. */
export function startProgram(program: GcProgram, folder: string, printsToStderr: boolean): ChildProcess {
  const stdio: StdioOptions = ['inherit', printsToStderr ? 2 : 'inherit', 'inherit']
  for (const descriptor of inheritedDescriptors()) {
    while (stdio.length < descriptor) stdio.push('ignore')
    stdio[descriptor] = descriptor
  }
  if (process.send !== undefined) stdio.push('ipc')
  const args = program.isNode ? [...process.execArgv, ...program.args] : program.args
  const options = `${process.env.NODE_OPTIONS ?? ''} ${preloadOption(folder)}`
  const child = spawn(program.command, args, {
    stdio,
    env: {
      ...process.env,
      NODE_OPTIONS: `${options}${permissions(`${options} ${args.join(' ')}`, folder)}`.trim()
    }
  })
  if (process.send !== undefined) relay(child)
  return child
}

/** What a program under Node's permission model may do so that it can report. */
function permissions(options: string, folder: string): string {
  if (!/--(experimental-)?permission\b/.test(options)) return ''
  const package_ = join(__dirname, '..', '..')
  const allow = (what: string, path: string) => ` --allow-fs-${what}=${quoted(join(path, '*'))}`
  return allow('read', folder) + allow('read', package_) + allow('write', folder)
}

/**
 * Above stderr, such as sockets of systemd or files of a shell. Node.js marks all of them to be closed when another program starts; what
 * it has opened for itself are event descriptors, both ends of a pipe, and devices.
 */
function inheritedDescriptors(): number[] {
  if (process.platform !== 'linux') return []
  const targets = new Map<number, string>()
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      targets.set(Number(name), readlinkSync(`/proc/self/fd/${name}`))
    } catch {
      // It was that of the folder.
    }
  }
  const all = [...targets.values()]
  const isOwn = (target: string): boolean =>
    /^(anon_inode:|\/dev\/u?random$|\/proc\/)/.test(target) ||
    (target.startsWith('pipe:') && all.indexOf(target) !== all.lastIndexOf(target))
  const channel = (process.channel as { fd?: number } | undefined)?.fd
  return [...targets]
    .filter(([descriptor, target]) => descriptor > 2 && descriptor !== channel && !isOwn(target))
    .map(([descriptor]) => descriptor)
    .sort((a, b) => a - b)
}

/** The command was forked: its parent talks to the program. */
function relay(child: ChildProcess): void {
  process.on('message', (message, handle) => {
    if (child.connected) child.send(message as object, handle as never)
  })
  child.on('message', (message, handle) => {
    if (process.connected) process.send?.(message, handle)
  })
  process.on('disconnect', () => {
    if (child.connected) child.disconnect()
  })
  child.on('disconnect', () => {
    if (process.connected) process.disconnect()
  })
}

export function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
}

/** Ends the program when the measured time is over. */
export class Ending {
  wasAsked = false
  #timer: NodeJS.Timeout | undefined

  constructor(private readonly child: ChildProcess) {}

  begin(): void {
    if (this.wasAsked || this.child.exitCode !== null || this.child.signalCode !== null) return
    this.wasAsked = true
    this.child.kill('SIGTERM')
    this.#timer = setTimeout(() => this.child.kill('SIGKILL'), endLimitMs)
  }

  /** A program that is ended from outside may leave processes behind. The command ends them, because no other process will. */
  endRest(states: readonly GcState[]): void {
    for (const { pid, threadId, kind } of states) {
      if (threadId !== 0 || kind === 'final' || pid === this.child.pid) continue
      try {
        process.kill(pid, 'SIGTERM')
      } catch {
        // It has ended.
      }
    }
  }

  dispose(): void {
    clearTimeout(this.#timer)
  }
}

/**
 * The program decides what a signal means to it. A terminal's Ctrl-C and Ctrl-\ have reached it already, so the first of them is
 * passed on only where there is no terminal. The third Ctrl-C ends a program that ignores them.
 */
export class Forwarding {
  /** The signal that ended a program that was stuck. */
  endedBy: NodeJS.Signals | undefined
  #interrupts = 0
  #timer: NodeJS.Timeout | undefined
  readonly #listeners = forwarded.map((signal) => [signal, () => this.#forward(signal)] as const)

  /** `stateOf` gives what the program's main thread has written last. */
  constructor(
    private readonly child: ChildProcess,
    private readonly stateOf: () => GcState | undefined
  ) {
    if (process.platform === 'win32') return
    for (const [signal, listener] of this.#listeners) process.on(signal, listener)
  }

  dispose(): void {
    clearTimeout(this.#timer)
    for (const [signal, listener] of this.#listeners) process.off(signal, listener)
  }

  #forward(signal: NodeJS.Signals): void {
    const isOfTerminal = process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT')
    if (signal === 'SIGINT') this.#interrupts++
    if (this.#interrupts > 2) this.child.kill('SIGKILL')
    else if (!isOfTerminal || this.#interrupts > 1) this.child.kill(signal)
    // A watched signal waits for the event loop; one that the program does not handle would not have.
    this.#timer ??= setTimeout(() => this.#endStuck(signal), stuckMs)
  }

  #endStuck(signal: NodeJS.Signals): void {
    const state = this.stateOf()
    if (state === undefined || state.wasSignalled || state.handledSignals.includes(signal)) return
    this.endedBy = signal
    this.child.kill('SIGKILL')
  }
}

export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}
