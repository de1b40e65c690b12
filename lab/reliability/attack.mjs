// Attacks a live server with raw sockets while good peers measure their round trips, with and without each attack, in turn.
//
//   node lab/reliability/attack.mjs [--rounds 7] [--seconds 0.8] [--only <part of a name>]
//
// The server and the good peers share one processor, and the good peers have priority on it. The attackers, which stand
// for other machines, have the other processor. Idle time of both is filled with computation, with and without an attack: a virtual
// machine with busy processors loses more time to its host than an idle one, which is not what this program measures.

import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { attacks } from './lib/attacks.mjs'
import { startChild } from './lib/processes.mjs'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '0.8' },
    only: { type: 'string', default: '' }
  }
})
const rounds = Number(values.rounds)
const phaseMs = Number(values.seconds) * 1000
const RATIO_MAX = 2
const RSS_MB_MAX = 160
const GOOD_PEERS = 6

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
let asked = 0

async function ask(process, command) {
  const number = ++asked
  process.tell(`${command} ${number}`)
  return process.line(`${command} ${number}`)
}

const options = { timeoutMs: 3_600_000 }
const server = startChild('attack_server.mjs', [], { ...options, processor: 0 })
const { port } = await server.line('port')
const peers = startChild('attack_peers.mjs', [port], { ...options, realTime: true, processor: 0 })
await peers.line('ready')
const attacker = startChild('attacker.mjs', [port], { ...options, idle: true, processor: 1 })
await attacker.line('ready')
const filler = startChild('attacker.mjs', [port], { ...options, idle: true, processor: 0 })
await filler.line('ready')
filler.tell('begin nothing')

async function measure() {
  peers.tell(`measure ${++asked}`)
  await pause(phaseMs)
  return ask(peers, 'report')
}

/** How many of an attack's connections the server has counted, once each. */
function accounted(before, after) {
  const delta = (name) => after.counters[name] - before.counters[name]
  return { ended: delta('refused') + delta('disconnected'), accepted: delta('accepted') }
}

function refusalsOf(before, after) {
  const counts = {}
  for (const table of ['refusals', 'endings']) {
    for (const [code, count] of Object.entries(after[table])) {
      const more = count - (before[table][code] ?? 0)
      if (more > 0) counts[code.replace('ZERIO_', '')] = (counts[code.replace('ZERIO_', '')] ?? 0) + more
    }
  }
  return Object.entries(counts)
    .sort((a, b) => b[1] - a[1])
    .map(([code, count]) => `${code} ${count}`)
    .join(', ')
}

const table = new Table({
  head: ['attack', 'connections', 'counted as', 'p99 µs without', 'with', 'ratio', 'memory MB', 'verdict'],
  style: { head: [], border: [] },
  wordWrap: true,
  colWidths: [32, 13, 50, 10, 10, 8, 9, 34]
})
let failed = 0
await measure()

for (const name of Object.keys(attacks)) {
  if (!name.includes(values.only)) continue
  const without = []
  const during = []
  const troubles = []
  let rssMb = 0
  let made = 0
  const before = await ask(server, 'report')
  for (let round = 0; round < rounds; round++) {
    attacker.tell('begin nothing')
    await pause(100)
    without.push(await measure())
    await ask(attacker, 'end')
    attacker.tell(`begin ${name}`)
    await pause(100)
    during.push(await measure())
    rssMb = Math.max(rssMb, (await ask(server, 'report')).rssMb)
    const end = await ask(attacker, 'end')
    made += end.made
    if (end.left > 0) troubles.push(`${end.left} not closed`)
  }
  // Connections of the last attackers may stay for as long as the server lingers.
  let after = await ask(server, 'report')
  for (let i = 0; i < 60 && (after.counters.peers > GOOD_PEERS || after.counters.handshakes > 0); i++) {
    await pause(50)
    after = await ask(server, 'report')
  }
  const { ended, accepted } = accounted(before, after)
  if (after.counters.peers !== GOOD_PEERS)
    troubles.push(`${after.counters.peers - GOOD_PEERS} peers too many`)
  if (after.counters.handshakes !== 0) troubles.push(`${after.counters.handshakes} handshakes left`)
  if (ended !== accepted) troubles.push(`${accepted} accepted, ${ended} counted`)
  if (rssMb > RSS_MB_MAX) troubles.push(`${rssMb} MB`)
  const faults = during.at(-1).faults
  if (faults.length > 0) troubles.push(`good peers: ${faults[0]}`)
  const p99 = [without, during].map((phases) => median(phases.map((phase) => phase.p99)))
  const ratio = p99[1] / p99[0]
  if (ratio > RATIO_MAX) troubles.push('latency')
  if (troubles.length > 0) failed++
  table.push([
    name,
    made,
    refusalsOf(before, after),
    ...p99,
    ratio.toFixed(2),
    rssMb,
    troubles.length > 0 ? `FAILED: ${troubles.join('; ')}` : 'ok'
  ])
  console.log(
    `${name}: p50 ${median(without.map(({ p50 }) => p50))} → ${median(during.map(({ p50 }) => p50))} µs, p99 ${p99.join(' → ')} µs, ${made} connections`
  )
}
console.log(table.toString())
await ask(filler, 'end')
for (const process of [filler, attacker, peers, server]) {
  process.child.stdin.end()
  const { code, signal, stderr } = await process.ended
  if (code !== 0 || signal !== null || stderr !== '') {
    failed++
    console.log(`FAILED: a process ended with ${code ?? signal}: ${stderr}`)
  }
}
process.exit(failed > 0 ? 1 : 0)
