// `zerio gc --attach`: measures the threads of a process that runs already, for some seconds, and leaves it as it was.
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { GcTask } from './gc_channel.js'
import { GcFolder } from './gc_folder.js'
import type { FoundInspector } from './gc_inspectors.js'
import { type Outcome, outcomeOf, Viewing } from './gc_session.js'
import { isComplete } from './gc_total.js'
import { InspectorSocket, inspectorUrls } from './inspector_socket.js'

const readEveryMs = 250
/** The threads hand out their samples meanwhile, for which V8 collects the whole heap. */
const lastReportLimitMs = 30_000
const interruptedReportLimitMs = 2000
/** The connection has to be closed before the inspector is. */
const closeAfterMs = 200
const closeLimitMs = 3000

interface Evaluated {
  exceptionDetails?: { text: string; exception?: { description?: string } }
}

interface WorkerMessage {
  sessionId: string
  message: string
}

const reporter = JSON.stringify(join(__dirname, 'gc_preload.js'))

export class Attachment {
  readonly #folder: GcFolder
  readonly #attach: string
  /** Sessions with the threads besides the main one, and the calls in each that have no answer yet. */
  readonly #workers = new Map<string, Map<number, () => void>>()
  #nextId = 1

  private constructor(
    private readonly socket: InspectorSocket,
    private readonly task: GcTask
  ) {
    this.#folder = new GcFolder(task)
    this.#attach = `require(${reporter}).attachTo(${JSON.stringify(this.#folder.path)})`
  }

  /** Measures for the task's time, until the process ends, or until Ctrl-C. */
  static async run(found: FoundInspector, task: GcTask, isSilent: boolean): Promise<Outcome> {
    const socket = await InspectorSocket.connect(found.url)
    const attachment = new Attachment(socket, task)
    try {
      return await attachment.#run(isSilent)
    } finally {
      if (found.wasOpened) await attachment.#closeInspector().catch(() => undefined)
      socket.close()
      attachment.#folder.remove()
      if (found.wasOpened) await untilClosed(new URL(found.url))
    }
  }

  async #run(isSilent: boolean): Promise<Outcome> {
    const { socket, task } = this
    socket.onEvent = (method, params) => this.#onEvent(method, params)
    await this.#evaluate(this.#attach)
    await socket.send('NodeWorker.enable', { waitForDebuggerOnStart: false }).catch(() => undefined)
    const viewing = new Viewing(task, isSilent)
    const timer = setInterval(() => viewing.look(this.#folder.read()), readEveryMs)
    await this.#measuredTime()
    clearInterval(timer)
    viewing.close()
    // The process may have ended: then its threads have reported at their ends.
    await this.#detach().catch(() => undefined)
    return outcomeOf(this.#folder.read(), this.#folder, task, 0, 'the process ended before it could report')
  }

  /** Ctrl-C ends the measurement and gives the report. */
  async #measuredTime(): Promise<void> {
    let end = () => {}
    const interrupted = new Promise<void>((resolve) => {
      end = resolve
    })
    const timer = setTimeout(end, this.task.measureMs)
    process.once('SIGINT', end)
    await Promise.race([interrupted, this.socket.closed])
    clearTimeout(timer)
    process.off('SIGINT', end)
  }

  async #detach(): Promise<void> {
    const detach = `require(${reporter}).detach()`
    const workers = [...this.#workers.keys()].map((sessionId) => this.#evaluateIn(sessionId, detach))
    await Promise.race([
      Promise.all([this.#evaluate(detach), ...workers]),
      pause(lastReportLimitMs, undefined, { ref: false })
    ])
    // A thread that was in the middle of a report writes its last one after it; one that was terminated never does.
    const endsAtMs = Date.now() + interruptedReportLimitMs
    while (!this.#folder.read().every(isComplete) && Date.now() < endsAtMs && !this.socket.isClosed) {
      await pause(closeAfterMs)
    }
  }

  /** Once this connection has ended. `require` is there during the call alone. */
  #closeInspector(): Promise<void> {
    return this.#evaluate(
      `((inspector) => setTimeout(() => inspector.close(), ${closeAfterMs}).unref())(require('node:inspector'))`
    )
  }

  #onEvent(method: string, params: unknown): void {
    const { sessionId, message } = params as WorkerMessage
    if (method === 'NodeWorker.attachedToWorker') {
      this.#workers.set(sessionId, new Map())
      this.#evaluateIn(sessionId, this.#attach)
    } else if (method === 'NodeWorker.receivedMessageFromWorker') {
      this.#workers.get(sessionId)?.get((JSON.parse(message) as { id: number }).id)?.()
    } else if (method === 'NodeWorker.detachedFromWorker') {
      // It has ended, and answers no more.
      for (const resolve of this.#workers.get(sessionId)?.values() ?? []) resolve()
      this.#workers.delete(sessionId)
    }
  }

  async #evaluate(expression: string): Promise<void> {
    const { exceptionDetails } = (await this.socket.send(
      'Runtime.evaluate',
      evaluation(expression)
    )) as Evaluated
    if (exceptionDetails === undefined) return
    const why = exceptionDetails.exception?.description ?? exceptionDetails.text
    throw new Error(`the process cannot be measured: ${why.split('\n')[0]}`)
  }

  /** Resolves when the thread has done it, or has ended. What it found is in the folder. */
  #evaluateIn(sessionId: string, expression: string): Promise<void> {
    const id = this.#nextId++
    const message = JSON.stringify({ id, method: 'Runtime.evaluate', params: evaluation(expression) })
    const sent: WorkerMessage = { sessionId, message }
    return new Promise((resolve) => {
      this.#workers.get(sessionId)?.set(id, resolve)
      this.socket.send('NodeWorker.sendMessageToWorker', sent).catch(resolve)
    })
  }
}

/** Until the process is as before, and can be attached to again. */
async function untilClosed({ hostname, port }: URL): Promise<void> {
  for (const endsAtMs = Date.now() + closeLimitMs; Date.now() < endsAtMs; ) {
    const isOpen = await inspectorUrls(hostname, Number(port)).then(
      () => true,
      () => false
    )
    if (!isOpen) return
    await pause(closeAfterMs)
  }
}

/** `require` is a part of the inspector's console. */
const evaluation = (expression: string): object => ({ expression, includeCommandLineAPI: true })
