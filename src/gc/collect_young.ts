// Collects the young generation now, without --expose-gc: a measurement then does not pay for what was before it, and all memory of
// dead ArrayBuffers that V8 frees on another thread is really gone.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { type: 'minor' }) => void

let collect: Collect | undefined

export function collectYoung(): void {
  if (collect === undefined) {
    // Contexts made while the flag is on have the function; the program's own never sees it.
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as Collect
    if (typeof (globalThis as { gc?: unknown }).gc !== 'function') setFlagsFromString('--no-expose-gc')
  }
  collect({ type: 'minor' })
}
