// The end of the process: what was accepted leaves before it, also what an `exit` listener sends.

/** An engine, as the end of the process sees it. */
export interface Exiting {
  /** Hands over what was accepted; from now on each message is handed over when it is sent. */
  exit(): void
}

// Shared by all copies of this module in the process: a test runner that loads modules anew must not add a listener each time.
const KEY = Symbol.for('zerio.exiting')
const shared = process as unknown as { [KEY]?: Set<Exiting> }

function exiting(): Set<Exiting> {
  const known = shared[KEY]
  if (known !== undefined) return known
  const engines = new Set<Exiting>()
  Object.defineProperty(process, KEY, { value: engines })
  // Before the program's listeners: what they send leaves at once, because nothing comes behind them.
  process.prependListener('exit', () => {
    for (const engine of engines) engine.exit()
  })
  return engines
}

/** `engine.exit()` is called when the process (or the worker) ends, until {@link forgetExiting}. */
export function rememberExiting(engine: Exiting): void {
  exiting().add(engine)
}

export function forgetExiting(engine: Exiting): void {
  exiting().delete(engine)
}
