// Whether the engine's place is in libuv's event loop, or beside the one of another runtime.

/** `ZERIO_LOOP=portable` takes the portable driver in Node.js, too: a thread that waits, and a thread-safe function that wakes. */
const VARIABLE = 'ZERIO_LOOP'

/** Bun and Deno have Node-API, and no libuv. */
export function needsPortableLoop(): boolean {
  return (
    process.env[VARIABLE] === 'portable' ||
    process.versions.bun !== undefined ||
    process.versions.deno !== undefined
  )
}
