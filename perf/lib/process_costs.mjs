// What a running process has cost the system so far, read from /proc.
import { readdirSync, readFileSync } from 'node:fs'

/** Nanoseconds of CPU time, all threads. @param {number} pid */
export function cpuNs(pid) {
  const tasks = readdirSync(`/proc/${pid}/task`)
  const times = tasks.map(
    (task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ', 1)[0]
  )
  return times.reduce((sum, time) => sum + Number(time), 0)
}

/** @param {number} pid */
export function residentBytes(pid) {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) * 1024
}
