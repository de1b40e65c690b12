// Says how busy the machine was with other work while something was measured: what everybody's CPU time was, less this
// process's and that of the children it has waited for, and what the hypervisor took away.
import { readFileSync } from 'node:fs'

/** From this part of the machine's CPU time on, other work makes comparisons worthless. */
export const OTHERS_PART_MAX = 0.1
export const STOLEN_PART_MAX = 0.05

// Clock ticks of /proc: user, nice, system, idle, iowait, irq, softirq, steal. Interrupts count for no process.
function readMachine() {
  const [user, nice, system, idle, iowait, irq, softirq, steal] = readFileSync('/proc/stat', 'latin1')
    .split('\n', 1)[0]
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number)
  const busy = user + nice + system
  return { busy, steal, total: busy + idle + iowait + irq + softirq + steal }
}

// utime, stime, cutime and cstime; the name before them may contain anything but a line's last parenthesis.
function readOwn() {
  const text = readFileSync('/proc/self/stat', 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
}

export class NoiseWatch {
  #machine = readMachine()
  #own = readOwn()

  /** @returns {{ othersPart: number, stolenPart: number }} since this was made, children that still run not counted */
  get result() {
    const machine = readMachine()
    const total = Math.max(1, machine.total - this.#machine.total)
    const others = machine.busy - this.#machine.busy - (readOwn() - this.#own)
    return {
      othersPart: Math.max(0, others) / total,
      stolenPart: (machine.steal - this.#machine.steal) / total
    }
  }
}

/** @returns {string | null} a sentence when it was too much */
export function noiseSentence({ othersPart, stolenPart }) {
  const percent = (part) => `${(part * 100).toFixed(0)} %`
  if (othersPart > OTHERS_PART_MAX) return `other processes took ${percent(othersPart)} of its CPU time`
  if (stolenPart > STOLEN_PART_MAX) return `its hypervisor took ${percent(stolenPart)} of its CPU time`
  return null
}
