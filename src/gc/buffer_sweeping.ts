// Makes V8 free the memory of dead ArrayBuffers inside the collection that found them, while a probe measures.
//
// V8 usually does it on another thread and notices some time later, so that memory outside of the heap shrinks between two
// collections while it also grows: what was allocated cannot be separated from what was freed.
import { setFlagsFromString } from 'node:v8'

let holders = 0

/** Every call wants one of {@link letSweepingGo}. */
export function holdSweeping(): void {
  if (holders++ === 0) setFlagsFromString('--no-concurrent-array-buffer-sweeping')
}

export function letSweepingGo(): void {
  if (--holders === 0) setFlagsFromString('--concurrent-array-buffer-sweeping')
}
