// What zerio has to reach: each row compares a program with a reference, or holds one of its numbers against a limit.
import { STRATEGIES } from './programs.mjs'

// Node.js itself allocates in each iteration of its event loop (perf/zerio/garbage.mjs), which is not counted against zerio. Counting is exact, but a Node process allocates a little by itself, most of it in its compiler: some hundred times
// on each side, however many messages there are. One malloc per message would show as 1, or 0.5 if one side makes it.
const NO_MALLOCS_MAX = 0.01
// V8 says in tenths of a megabyte what a collection has freed. The smallest object has 12 bytes.
const NO_BYTES_MAX = 2

/**
 * @typedef {object} Target
 * @property {string} name what --only knows it by; several targets may share one
 * @property {string} program
 * @property {string} [metric] if it is not the program's own
 * @property {string} [unit] if it is not the program's own
 * @property {string} [reference] the program whose number the program's is divided by
 * @property {number} [atMost]
 * @property {number} [atLeast] without either limit the row is there to be looked at
 */

/** @type {Target[]} */
export const targets = [
  { name: 'manual', program: 'zerio manual', reference: 'c spin', atMost: 1.15 },
  { name: 'manual', program: 'zerio manual', reference: 'c spin', metric: 'p99Us', atMost: 1.2 },
  { name: 'spin', program: 'zerio spin', reference: 'c spin', atMost: 1.3 },
  { name: 'hybrid', program: 'zerio hybrid', reference: 'c spin', atMost: 1.3 },
  { name: 'adaptive', program: 'zerio adaptive', reference: 'c spin', atMost: 1.3 },
  { name: 'blocking', program: 'zerio blocking', reference: 'c epoll', atMost: 1.1 },
  { name: 'blocking', program: 'zerio blocking', reference: 'net ping-pong' },
  ...throughputTargets('send', 0.5),
  ...throughputTargets('claim', 0.85),
  { name: 'collections', program: 'zerio manual garbage', metric: 'collections', atMost: 0 },
  ...STRATEGIES.map((strategy) => ({
    name: 'collections',
    program: `zerio ${strategy} garbage`,
    metric: 'garbageBytesBeyondLoop',
    unit: 'B per message',
    atMost: NO_BYTES_MAX
  })),
  ...STRATEGIES.map((strategy) => ({
    name: 'mallocs',
    program: `zerio ${strategy} garbage`,
    metric: 'mallocsBeyondLoop',
    unit: 'per message',
    atMost: NO_MALLOCS_MAX
  })),
  ...sessionTargets(),
  { name: 'memory', program: 'zerio memory', atMost: 30 },
  { name: 'peer-memory', program: 'zerio peer memory', atMost: 5 }
]

/** What a session costs: a round trip takes at most 1/0.9 of one without, and as many messages come through but for a tenth. */
function sessionTargets() {
  const name = 'session'
  return ['manual', 'blocking'].flatMap((strategy) => [
    { name, program: `zerio ${strategy} session`, reference: `zerio ${strategy}`, atMost: 1.11 },
    ...['send', 'claim'].map((way) => {
      const program = `zerio ${strategy} ${way}`
      return { name, program: `${program} session`, reference: program, atLeast: 0.9 }
    })
  ])
}

function throughputTargets(name, ofC) {
  return ['manual', 'blocking'].flatMap((strategy) => {
    const program = `zerio ${strategy} ${name}`
    return [
      { name, program, reference: 'c framed', atLeast: ofC },
      { name, program, reference: 'c framed nodelay' },
      { name, program, reference: 'net batched', atLeast: 2.5 },
      { name, program, reference: 'net tuned' },
      { name, program, reference: 'net in place' },
      { name, program, reference: 'net single' }
    ]
  })
}

export const targetNames = [...new Set(targets.map((target) => target.name))]

/** @param {Target} target */
export function labelOf({ program, metric }) {
  if (metric?.endsWith('BeyondLoop')) return `${program} beyond the event loop's own`
  return metric === 'p99Us' ? `${program}, p99` : program
}

/** @param {Pick<Target, 'atMost' | 'atLeast'>} target */
export function limitOf({ atMost, atLeast }) {
  if (atMost !== undefined) return `≤ ${atMost}`
  return atLeast === undefined ? '' : `≥ ${atLeast}`
}
