// Ctrl-C: the first ends the run early and in order, a second one ends it at once.

/** npm passes on a Ctrl-C that the terminal has already delivered: soon after the first, it is the same one. */
const sameKeyMs = 1000

export interface Interrupt {
  happened: boolean
  /** Resolves after this time, or when the run is interrupted. */
  after(ms: number): Promise<void>
  dispose(): void
}

export function onInterrupt(endNow: () => void): Interrupt {
  let firstMs = 0
  let wake = () => {}
  const handle = () => {
    if (!interrupt.happened) {
      interrupt.happened = true
      firstMs = performance.now()
      wake()
    } else if (performance.now() - firstMs > sameKeyMs) {
      endNow()
    }
  }
  const interrupt: Interrupt = {
    happened: false,
    after(ms) {
      if (interrupt.happened) return Promise.resolve()
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, ms)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    },
    dispose() {
      process.off('SIGINT', handle)
      process.off('SIGTERM', handle)
      wake()
    }
  }
  process.on('SIGINT', handle)
  process.on('SIGTERM', handle)
  return interrupt
}
