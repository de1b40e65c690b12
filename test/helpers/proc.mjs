// Processes as /proc shows them.
import { readFileSync } from 'node:fs'
import { until } from './until.mjs'

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

/** The children of a process, as soon as it has one. */
export function firstChildrenOf(child) {
  return until(() => {
    const children = childrenOf(child)
    return children.length > 0 && children
  }, 'the process has children')
}

/** Resolves when none of these processes is left. */
export function untilGone(pids) {
  return until(() => !pids.some(isAlive), `the processes ${pids.join(', ')} are gone`)
}
