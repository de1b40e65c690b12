// What a message costs as the number of connected peers grows, of which one, one in a hundred, or all are active.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atMost } from '../lib/aims.mjs'
import { peerCounts } from '../lib/files_limit.mjs'
import { interleave } from '../lib/interleave.mjs'
import { emptyHistogram, recordFile, summaryOf } from '../lib/latencies.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { cpuNs, residentBytes } from '../lib/process_costs.mjs'
import { Program } from '../lib/processes.mjs'
import { median, ratiosWithin } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { failed, repeated, table, us } from '../report/markdown.mjs'

const PAYLOAD_BYTES = 32
// One message every 100 µs, whatever the number of senders: the crowd is measured, not the load.
const INTERVAL_NS = 100_000
const FULL = { peers: [1, 100, 1_000, 10_000], warmup: 4_000, messages: 4_000, repetitions: 5 }
const QUICK = { peers: [1, 1_000], warmup: 500, messages: 1_500, repetitions: 1 }
const STRATEGIES = ['blocking', 'spin']
const DEADLINE_MS = 120_000

const script = (path) => join(import.meta.dirname, '..', path)

// One, one in a hundred, all: without those that are the same.
const activeCounts = (peers) => [...new Set([1, Math.max(1, peers / 100), peers])]

async function runCrowd(server, peers, active, { warmup, messages }, file, isSpinning) {
  const programs = [server]
  try {
    const { port } = await server.next()
    const crowd = new Program(nativePrograms.crowd, [
      ...[port, peers, active, PAYLOAD_BYTES, INTERVAL_NS, warmup, messages, file]
    ])
    programs.push(crowd)
    await crowd.next(DEADLINE_MS)
    const before = cpuNs(server.pid)
    crowd.write('go')
    const { messages: sent } = await crowd.next(DEADLINE_MS)
    const cpuUs = (cpuNs(server.pid) - before) / sent / 1000
    const memoryMb = residentBytes(server.pid) / 2 ** 20
    const histogram = emptyHistogram()
    const quietP99Us = median(recordFile(histogram, file))
    // A server that spins uses all of its core whatever the load.
    return { ...summaryOf(histogram), quietP99Us, ...(isSpinning ? {} : { cpuUs }), memoryMb }
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

function serversFor(peers, backends) {
  const node = (path, flags = []) => new Program(process.execPath, [script(path), ...flags])
  const servers = {
    'c epoll': () => new Program(nativePrograms.echo, ['epoll', peers]),
    'c spin': () => new Program(nativePrograms.echo, ['spin', peers])
  }
  for (const backend of backends) {
    for (const strategy of STRATEGIES) {
      servers[`zerio ${strategy} (${backend})`] = () =>
        node('zerio/crowd_server.mjs', ['--strategy', strategy, '--backend', backend])
    }
  }
  servers['node:net'] = () => node('net/crowd_server.mjs')
  return servers
}

/** @type {import('./index.mjs').Section} */
export const growth = {
  name: 'growth',
  title: 'Cost as the work grows',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const { counts, leftOut } = peerCounts(sizes.peers)
    const folder = mkdtempSync(join(tmpdir(), 'zerio-perf-'))
    const file = join(folder, 'latencies.f64')
    const rows = []
    const failures = {}
    try {
      // All sizes of a crowd meet the same machine, for they are compared with each other.
      const cells = counts.flatMap((peers) => activeCounts(peers).map((active) => ({ peers, active })))
      const programs = {}
      for (const { peers, active } of cells) {
        for (const [name, start] of Object.entries(serversFor(peers, backends))) {
          // How many are active changes nothing about a core that is always used; one is enough to see the crowd.
          if (name.includes('spin') && active > 1) continue
          programs[`${name}: ${active} of ${peers}`] = async () => ({
            name,
            peers,
            active,
            ...(await runCrowd(start(), peers, active, sizes, file, name.includes('spin')))
          })
        }
      }
      const outcome = await interleave(programs, sizes.repetitions, progress)
      for (const runs of Object.values(outcome.results)) {
        const [{ name, peers, active }] = runs
        const middle = (field) => median(runs.map((run) => run[field]))
        const cpuUs = runs[0].cpuUs === undefined ? undefined : middle('cpuUs')
        rows.push({
          program: name,
          peers,
          active,
          cpuUs,
          p50Us: middle('p50Us'),
          p99Us: middle('p99Us'),
          quietP99Us: middle('quietP99Us'),
          memoryMb: middle('memoryMb'),
          runs: runs.map((run) => ({ quietP99Us: run.quietP99Us }))
        })
      }
      Object.assign(failures, outcome.failures)
    } finally {
      rmSync(folder, { recursive: true })
    }
    return { rows, failures, leftOut, repetitions: sizes.repetitions }
  },

  render({ rows, failures, leftOut, repetitions }, { charts, data }) {
    const series = (field) =>
      rows
        .filter((row) => row.active === 1 && row[field] !== undefined)
        .map((row) => ({ ...row, series: row.program }))
    const chart = (name, title, field, axis) =>
      charts.add(name, {
        title,
        kind: 'lines',
        x: { field: 'peers', title: 'connected peers', log: true },
        y: { field, title: axis, log: true },
        rows: series(field)
      })
    chart('growth_cpu', 'One active peer among many, CPU per message', 'cpuUs', 'µs of the server')
    data.add(
      'growth',
      rows.map(({ program, peers, active, cpuUs, p50Us, p99Us, quietP99Us, memoryMb }) => ({
        peers,
        active,
        server: program,
        cpu_us_per_message: rounded(cpuUs),
        p50_us: rounded(p50Us),
        p99_us: rounded(p99Us),
        p99_of_a_window_us: rounded(quietP99Us),
        memory_mb: rounded(memoryMb)
      }))
    )
    return [
      `A message of ${PAYLOAD_BYTES} B every ${INTERVAL_NS / 1000} µs from one of the active peers after the other, echoed by the server; time counts from when it was due; ${repeated(repetitions)}. The peers are sockets of one C program that never`,
      'sleeps. Servers that spin use all of a core, whatever they do with it. The p99 of a window is as above. With one active peer of so',
      `many that are connected; those with more active ones, and CPU time and memory of each server, are in the data file. ${data.link('growth')}`,
      '',
      byPeers(rows),
      '',
      charts.image('growth_cpu'),
      '',
      ...leftOut.map(
        (peers) => `- ${peers} peers were left out: this system allows a process fewer open files.`
      ),
      ...failed(failures)
    ].join('\n')
  },

  noteworthy({ rows }) {
    const most = Math.max(...rows.map(({ peers }) => peers))
    return STRATEGIES.flatMap((strategy) => {
      const program = `zerio ${strategy} (epoll)`
      const crowd = rows.find((row) => row.program === program && row.peers === most && row.active === 1)
      const one = alone(rows, program)
      if (crowd === undefined || one === undefined || most === 1) return []
      const what = `p99 of one active among ${most}, of one alone, \`${strategy}\``
      return atMost(what, ratiosWithin(crowd.runs, one.runs, 'quietP99Us'), 1.2)
    })
  }
}

const alone = (rows, program) => rows.find((row) => row.program === program && row.peers === 1)

/** A line for each server, a column for each size of the crowd, of which one peer is active. */
function byPeers(rows) {
  const alive = rows.filter((row) => row.active === 1)
  const counts = [...new Set(alive.map(({ peers }) => peers))]
  const cells = [...new Set(alive.map(({ program }) => program))].map((program) => [
    program,
    ...counts.map((peers) => {
      const row = alive.find((one) => one.program === program && one.peers === peers)
      return row === undefined ? '' : us(row.quietP99Us)
    })
  ])
  return table(['p99 of a window; peers:', ...counts], cells)
}
