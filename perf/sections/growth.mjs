// What a message costs as the number of connected peers grows, of which one, one in a hundred, or all are active.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atMost } from '../lib/aims.mjs'
import { crowdServer, INTERVAL_NS, PAYLOAD_BYTES, runCrowd } from '../lib/crowd.mjs'
import { peerCounts } from '../lib/files_limit.mjs'
import { interleave } from '../lib/interleave.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { Program } from '../lib/processes.mjs'
import { median, ratiosWithin } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { failed, repeated, table, us } from '../report/markdown.mjs'

const FULL = { peers: [1, 100, 1_000, 10_000], warmup: 4_000, messages: 4_000, repetitions: 5 }
const QUICK = { peers: [1, 1_000], warmup: 500, messages: 1_500, repetitions: 1 }
const STRATEGIES = ['blocking', 'spin']

// One, one in a hundred, all: without those that are the same.
const activeCounts = (peers) => [...new Set([1, Math.max(1, peers / 100), peers])]

function serversFor(peers, backends) {
  const servers = {
    'c epoll': () => new Program(nativePrograms.echo, ['epoll', peers]),
    'c spin': () => new Program(nativePrograms.echo, ['spin', peers])
  }
  for (const backend of backends) {
    for (const strategy of STRATEGIES) {
      servers[`zerio ${strategy} (${backend})`] = () =>
        crowdServer('zerio/crowd_server.mjs', ['--strategy', strategy, '--backend', backend])
    }
  }
  servers['node:net'] = () => crowdServer('net/crowd_server.mjs')
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
            ...(await runCrowd(start(), peers, active, sizes, file))
          })
        }
      }
      const outcome = await interleave(programs, sizes.repetitions, progress)
      for (const runs of Object.values(outcome.results)) {
        const [{ name, peers, active }] = runs
        const middle = (field) => median(runs.map((run) => run[field]))
        // A server that spins uses all of its core whatever the load.
        const cpuUs = name.includes('spin') ? undefined : middle('cpuUs')
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
      `sleeps. Servers that spin use all of a core, whatever they do with it. The p99 of a window is as above. With one active peer of so many that are connected; those with more active ones, and CPU time and memory of each server, are in the data file. ${data.link('growth')}`,
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
