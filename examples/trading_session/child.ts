// One child process as the parent sees it: its milestones as promises, and its death wherever unexpected.

import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { ChildMessage, ChildTask, Command, Integrity, Measured } from './ipc.js'

const killAfterMs = 2000

export interface ChildEvents {
  report(second: Measured, window: Measured | null): void
  done(window: Measured | null, integrity: Integrity | null): void
  failed(error: Error): void
}

export class Child {
  readonly ready: Promise<void>
  readonly drained: Promise<void>
  /** Resolves when the process is gone, in whatever way. */
  readonly gone: Promise<void>
  port = 0
  private readonly process: ChildProcess
  private isDone = false
  private isReady: () => void = () => {}
  private isDrained: () => void = () => {}
  private reason = ''

  constructor(
    role: 'server' | 'client',
    private readonly task: ChildTask,
    private readonly events: ChildEvents
  ) {
    this.ready = new Promise((resolve) => {
      this.isReady = resolve
    })
    this.drained = new Promise((resolve) => {
      this.isDrained = resolve
    })
    this.process = fork(join(__dirname, `${role}.js`), [JSON.stringify(task)], {
      // V8 would collect some 8 s after the start, garbage or not, to give memory back to an idle machine.
      execArgv: [...process.execArgv, '--no-memory-reducer'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A process group of its own: the terminal sends Ctrl-C to the parent alone, which stops all in order.
      detached: true
    })
    this.process.on('message', (message) => this.take(message as ChildMessage))
    // Messages may still be on their way after 'exit'; none are after 'disconnect'.
    this.gone = Promise.all([this.once('exit'), this.once('disconnect')]).then(() => this.takeExit())
  }

  tell(command: Command): void {
    // The channel may have closed a moment ago; the exit is noticed elsewhere.
    if (this.process.connected) this.process.send(command, () => {})
  }

  async kill(): Promise<void> {
    this.isDone = true
    this.process.kill('SIGTERM')
    const timer = setTimeout(() => this.killNow(), killAfterMs)
    await this.gone
    clearTimeout(timer)
  }

  killNow(): void {
    this.process.kill('SIGKILL')
  }

  private once(event: string): Promise<void> {
    return new Promise((resolve) => {
      this.process.once(event, () => resolve())
    })
  }

  private take(message: ChildMessage): void {
    if (message.kind === 'ready') {
      this.port = message.port
      this.isReady()
    } else if (message.kind === 'report') {
      this.events.report(message.second, message.window)
    } else if (message.kind === 'drained') {
      this.isDrained()
    } else if (message.kind === 'done') {
      this.isDone = true
      this.events.done(message.window, message.integrity)
    } else {
      this.reason = message.reason
    }
  }

  private takeExit(): void {
    const { exitCode, signalCode } = this.process
    if (this.isDone && exitCode === 0) return
    const how =
      this.reason || (signalCode ? `was killed by ${signalCode}` : `ended with exit code ${exitCode}`)
    this.events.failed(new Error(`${this.task.name}: ${how}`))
  }
}
