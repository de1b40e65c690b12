// Processes as /proc shows them.
import { readFileSync } from 'node:fs'

/** The numbers of a process's children. */
export function childrenOf({ pid }) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
}

/** Whether a process has not ended. A zombie has: it only waits until its parent reads its exit code. */
export function isAlive(pid) {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
