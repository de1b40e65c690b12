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
/** How long a thread that is just being made gets until it is asked again. */
const askAgainMs = 20
/** What a thread answers then. */
const notYet = 'not yet'

/** These would end the command in the middle of an answer of the process. */
const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

interface Evaluated {
  exceptionDetails?: { text: string; exception?: { description?: string } }
  result?: { value?: string }
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
  readonly #workers = new Map<string, Map<number, (answer?: Evaluated) => void>>()
  /** Resolves at Ctrl-C or another of the signals, which ends the measurement and gives the report. */
  readonly #interrupted: Promise<void>
  #onInterrupt = () => {}
  #isDetaching = false
  #nextId = 1

  private constructor(
    private readonly socket: InspectorSocket,
    private readonly task: GcTask
  ) {
    this.#interrupted = new Promise((resolve) => {
      this.#onInterrupt = resolve
    })
    for (const signal of endingSignals) process.once(signal, this.#onInterrupt)
    this.#folder = new GcFolder(task)
    this.#attach = fromEventLoop(`require(${reporter}).attachTo(${JSON.stringify(this.#folder.path)})`)
  }

  /** Measures for the task's time, until the process ends, or until Ctrl-C. */
  static async run(found: FoundInspector, task: GcTask, isSilent: boolean): Promise<Outcome> {
    const socket = await InspectorSocket.connect(found.url)
    const attachment = new Attachment(socket, task)
    try {
      return await attachment.#run(isSilent)
    } finally {
      // Node.js may end with SIGSEGV when it has something to say to a connection that ends: it must have said all before.
      await attachment.#leaveWorkers().catch(() => undefined)
      if (found.wasOpened) await attachment.#closeInspector().catch(() => undefined)
      await socket.close()
      for (const signal of endingSignals) process.off(signal, attachment.#onInterrupt)
      attachment.#folder.remove()
      if (found.wasOpened) await untilClosed(new URL(found.url))
    }
  }

  async #run(isSilent: boolean): Promise<Outcome> {
    const { socket, task } = this
    socket.onEvent = (method, params) => this.#onEvent(method, params)
    const isAttached = await Promise.race([
      this.#evaluate(this.#attach).then(() => true),
      this.#interrupted.then(() => false)
    ])
    if (!isAttached) return this.#outcome('the process has not returned to its event loop')
    await socket.send('NodeWorker.enable', { waitForDebuggerOnStart: false }).catch(() => undefined)
    const viewing = new Viewing(task, isSilent)
    const timer = setInterval(() => viewing.look(this.#folder.read()), readEveryMs)
    await this.#measuredTime()
    clearInterval(timer)
    viewing.close()
    // The process may have ended: then its threads have reported at their ends.
    await this.#detach().catch(() => undefined)
    return this.#outcome('the process ended before it could report')
  }

  #outcome(whyNothing: string): Outcome {
    return outcomeOf(this.#folder.read(), this.#folder, this.task, 0, whyNothing)
  }

  async #measuredTime(): Promise<void> {
    const isOver = new AbortController()
    const time = pause(this.task.measureMs, undefined, { signal: isOver.signal }).catch(() => undefined)
    await Promise.race([time, this.#interrupted, this.socket.closed])
    isOver.abort()
  }

  async #detach(): Promise<void> {
    const detach = fromEventLoop(`require(${reporter}).detach()`)
    // Workers that begin now are not measured any more.
    this.#isDetaching = true
    const workers = [...this.#workers.keys()].map((sessionId) => this.#evaluateIn(sessionId, detach))
    await Promise.race([
      Promise.all([this.#evaluate(detach), ...workers]),
      this.socket.closed,
      pause(lastReportLimitMs, undefined, { ref: false })
    ])
    // A thread that was in the middle of a report writes its last one after it; one that was terminated never does.
    const endsAtMs = Date.now() + interruptedReportLimitMs
    while (!this.#folder.read().every(isComplete) && Date.now() < endsAtMs && !this.socket.isClosed) {
      await pause(closeAfterMs)
    }
  }

  /** Afterwards no worker's beginning, end or answer is announced. */
  async #leaveWorkers(): Promise<void> {
    await Promise.race([
      this.socket.send('NodeWorker.disable'),
      pause(interruptedReportLimitMs, undefined, { ref: false })
    ])
  }

  /** Once this connection has ended. */
  async #closeInspector(): Promise<void> {
    const close = `setTimeout(() => require('node:inspector').close(), ${closeAfterMs}).unref()`
    // A main thread that does not return to its event loop closes it when it does.
    await Promise.race([
      this.#evaluate(fromEventLoop(close)),
      pause(interruptedReportLimitMs, undefined, { ref: false })
    ])
  }

  #onEvent(method: string, params: unknown): void {
    const { sessionId, message } = params as WorkerMessage
    if (method === 'NodeWorker.attachedToWorker') {
      if (this.#isDetaching) return
      this.#workers.set(sessionId, new Map())
      this.#attachWorker(sessionId)
    } else if (method === 'NodeWorker.receivedMessageFromWorker') {
      const { id, result } = JSON.parse(message) as { id: number; result?: Evaluated }
      this.#workers.get(sessionId)?.get(id)?.(result)
    } else if (method === 'NodeWorker.detachedFromWorker') {
      // It has ended, and answers no more.
      for (const resolve of this.#workers.get(sessionId)?.values() ?? []) resolve()
      this.#workers.delete(sessionId)
    }
  }

  /** As soon as it is ready: Node.js announces it when its making begins. */
  async #attachWorker(sessionId: string): Promise<void> {
    const isNotYet = async () => (await this.#evaluateIn(sessionId, this.#attach))?.result?.value === notYet
    while (this.#workers.has(sessionId) && !this.#isDetaching && (await isNotYet())) await pause(askAgainMs)
  }

  async #evaluate(expression: string): Promise<void> {
    const { exceptionDetails, result } = (await this.socket.send(
      'Runtime.evaluate',
      evaluation(expression)
    )) as Evaluated
    if (result?.value === notYet) {
      await pause(askAgainMs)
      return this.#evaluate(expression)
    }
    const why = exceptionDetails?.exception?.description ?? exceptionDetails?.text ?? result?.value
    if (why === undefined) return
    throw new Error(`the process cannot be measured: ${why.split('\n')[0]}`)
  }

  /** Resolves when the thread has done it, is not ready for it, or has ended. What it found is in the folder. */
  #evaluateIn(sessionId: string, expression: string): Promise<Evaluated | undefined> {
    const id = this.#nextId++
    const message = JSON.stringify({ id, method: 'Runtime.evaluate', params: evaluation(expression) })
    const sent: WorkerMessage = { sessionId, message }
    return new Promise((resolve) => {
      this.#workers.get(sessionId)?.set(id, resolve)
      this.socket.send('NodeWorker.sendMessageToWorker', sent).catch(() => resolve(undefined))
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

/**
 * Has the thread run `code` from its event loop; the result is a text when that failed. What the inspector evaluates runs in the middle of
 * whatever the thread does just then, which may be a report, a change of its timers, or the loading of a module. A call of `setImmediate`
 * does no harm there, as soon as Node.js has made the thread's event loop; `process.argv0` is set right afterwards. A worker takes
 * messages even before, and the call would end the process with SIGSEGV.
 */
function fromEventLoop(code: string): string {
  return `typeof process !== 'object' || process.argv0 === undefined ? '${notYet}' : new Promise((resolve) => setImmediate(() => {
    try {
      const require = process.getBuiltinModule('node:module').createRequire(${reporter})
      ${code}
      resolve()
    } catch (error) { resolve(String(error)) }
  }))`
}

/**
 * Without `includeCommandLineAPI`, which would offer `require`: V8 calls functions to install that, and a thread that ends runs none.
 * Node.js hands it messages all the same, and V8 would end the process with SIGSEGV, in its CommandLineAPIScope.
 */
const evaluation = (expression: string): object => ({ expression, awaitPromise: true })
