// How many peers a process may have: the hard limit of open files, which Node.js and the C programs use whole.
import { readFileSync } from 'node:fs'

const SPARE_FILES = 100
// Ports of one address, less some for others: Linux has 28,232 of them by default.
const PORTS_MAX = 27_900

function filesMax() {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))[1]
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit) - SPARE_FILES
}

/** The largest crowd that this system allows: one descriptor on each side, and a port for each peer. */
export const crowdMax = () => Math.min(filesMax(), PORTS_MAX)

/**
 * @param {number[]} wanted
 * @returns {{ counts: number[], leftOut: number[] }}
 */
export function peerCounts(wanted) {
  const most = filesMax()
  return { counts: wanted.filter((count) => count <= most), leftOut: wanted.filter((count) => count > most) }
}
