// Sees a signal that ends the program before it does, without a listener that the program could count.
//
// Node.js begins to watch a signal when `newListener` is emitted for it, and calls what `process.emit` was at that moment. So a signal
// that has no listener of the program's reaches this file first; it then ends the program as if it had not been watched.

const watched = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
type Watched = (typeof watched)[number]
type Emit = (this: NodeJS.Process, ...args: unknown[]) => boolean

/** Signals of which the program decides what they mean. */
export function handledSignals(): string[] {
  return watched.filter((signal) => process.listenerCount(signal) > 0)
}

/**
 * `listener` is called when such a signal has come: with `true` when it ends the program after that. The parents of processes with a
 * channel may kill those that are stuck, and a watched signal has to wait for the event loop. So this does nothing in such processes, nor on Windows.
 */
export function watchEndingSignals(listener: (endsProgram: boolean) => void): void {
  if (process.platform === 'win32' || process.channel) return
  const emit = process.emit as Emit
  const watchful: Emit = function (...args) {
    const signal = args[0] as Watched
    if (!watched.includes(signal)) return emit.apply(this, args)
    const endsProgram = process.listenerCount(signal) === 0
    listener(endsProgram)
    if (!endsProgram) return emit.apply(this, args)
    // Node.js stops watching it, and the system does again what it does with the signal.
    emit.call(process, 'removeListener', signal)
    process.kill(process.pid, signal)
    return true
  }
  process.emit = watchful as typeof process.emit
  for (const signal of watched) emit.call(process, 'newListener', signal)
  process.emit = emit as typeof process.emit
}
