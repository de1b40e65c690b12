// Whether the engine's place is in libuv's event loop, or beside the one of another runtime.

import { setImmediate } from 'node:timers'
import { variable } from './environment.js'

/** `ZERIO_LOOP=portable` takes the portable driver in Node.js, too: a thread that waits, and a thread-safe function that wakes. */
const VARIABLE = 'ZERIO_LOOP'

/** Bun and Deno have Node-API, and no libuv. */
export function needsPortableLoop(): boolean {
  return (
    variable(VARIABLE) === 'portable' ||
    process.versions.bun !== undefined ||
    process.versions.deno !== undefined
  )
}

/**
 * Deno prints an exception of an addon's callback as `null`. So in Deno the dispatch's exceptions are thrown again in an immediate. The loop
 * goes on with the events behind it.
 */
export function inHost(dispatch: () => void): () => void {
  if (process.versions.deno === undefined) return dispatch
  return () => {
    try {
      dispatch()
    } catch (error) {
      setImmediate(() => {
        throw error
      })
    }
  }
}
