// The messages between the parent and its children over fork's channel, and the child's end of it.

import type { Flags } from './flags.js'

export interface Measured {
  elapsedMs: number
  sent: number
  received: number
  garbageBytes: number
  collections: number
  roundTrips: number
  roundTripNs: { p50: number; p99: number; p999: number; max: number }
}

/** What a client found when it compared what was sent with what arrived. */
export interface Integrity {
  ticks: number
  ticksLost: number
  ticksOutOfOrder: number
  orders: number
  ordersUnacknowledged: number
  ordersRejected: number
}

export interface ChildTask {
  flags: Flags
  name: string
  port: number
}

/** measure: the window begins. drain: the window ends, and so do orders. finish: ticks end as well. */
export type Command = 'measure' | 'drain' | 'finish'

export type ChildMessage =
  | { kind: 'ready'; port: number }
  | { kind: 'report'; second: Measured; window: Measured | null }
  | { kind: 'drained' }
  | { kind: 'done'; window: Measured | null; integrity: Integrity | null }
  | { kind: 'failed'; reason: string }

export function childTask(): ChildTask {
  if (!process.send || process.argv.length < 3) {
    process.stderr.write('dist/demo/main.js starts this file; run npm start\n')
    process.exit(2)
  }
  return JSON.parse(process.argv[2]) as ChildTask
}

export function tellParent(message: ChildMessage): void {
  process.send?.(message)
}

/** The last word to the parent; the process then ends by itself, as nothing keeps its loop alive. */
export function leave(message: ChildMessage): void {
  process.removeAllListeners('disconnect')
  if (process.connected) process.send?.(message, () => process.disconnect())
}

export function onCommand(handle: (command: Command) => void): void {
  process.on('message', (command) => handle(command as Command))
}

/** Runs a child. What it throws goes to the parent, which prints it as one line on stderr. */
export function runChild(main: () => Promise<void>): void {
  const fail = (error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error)
    const exit = () => process.exit(1)
    if (process.connected) process.send?.({ kind: 'failed', reason } satisfies ChildMessage, exit)
    else exit()
  }
  process.on('uncaughtException', fail)
  // Only the parent stops this process, so it ends with the parent.
  process.on('disconnect', () => process.exit(1))
  main().catch(fail)
}
