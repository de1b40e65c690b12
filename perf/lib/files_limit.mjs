// How many peers a process may have: the hard limit of open files, which Node.js and the C programs use whole.
import { readFileSync } from 'node:fs'

const SPARE_FILES = 100

/**
 * @param {number[]} wanted
 * @returns {{ counts: number[], leftOut: number[] }}
 */
export function peerCounts(wanted) {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))[1]
  const most = limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit) - SPARE_FILES
  return { counts: wanted.filter((count) => count <= most), leftOut: wanted.filter((count) => count > most) }
}
