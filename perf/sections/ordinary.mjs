// What zerio costs the rest of an ordinary program: timers, http and a few messages, beside a crowd that says nothing.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { atMost } from '../lib/aims.mjs'
import { crowdMax, peerCounts } from '../lib/files_limit.mjs'
import { interleave } from '../lib/interleave.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { Program } from '../lib/processes.mjs'
import { median, ratiosWithin } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { failed, repeated, table, times, us } from '../report/markdown.mjs'

const PAYLOAD_BYTES = 32
const MESSAGES_PER_SECOND = 200
const REQUESTS_PER_SECOND = 100
const SILENT_PEERS = 1_000
const HEARTBEAT_MS = 15_000
/** The part of one processor that a server with silent peers may take. */
const IDLE_SHARE_MAX = 0.002
const FULL = {
  peers: [100, 1_000, 10_000, Number.POSITIVE_INFINITY],
  warmupSeconds: 1,
  seconds: 4,
  idleSeconds: 2 * (HEARTBEAT_MS / 1000),
  repetitions: 5
}
const QUICK = {
  peers: [100, 1_000],
  warmupSeconds: 0.5,
  seconds: 1,
  idleSeconds: 3,
  repetitions: 1
}
const DEADLINE_MS = 180_000

const script = (path) => join(import.meta.dirname, '..', path)
const node = (path, flags = []) => new Program(process.execPath, [script(path), ...flags])

function cpuNs(pid) {
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ', 1)[0])
    .reduce((sum, time) => sum + Number(time), 0)
}

/** The part of one processor that a process takes while `work` is under way. */
async function shareOf(program, work) {
  const before = cpuNs(program.pid)
  const began = process.hrtime.bigint()
  const result = await work()
  return { share: (cpuNs(program.pid) - before) / Number(process.hrtime.bigint() - began), result }
}

async function runOrdinary(server, peers, { warmupSeconds, seconds }, folder) {
  const programs = [server]
  const start = (program) => {
    programs.push(program)
    return program
  }
  try {
    const { port, webPort } = await server.next()
    const warmup = Math.round(warmupSeconds * MESSAGES_PER_SECOND)
    const messages = Math.round(seconds * MESSAGES_PER_SECOND)
    const intervalNs = 1e9 / MESSAGES_PER_SECOND
    const crowd = start(
      new Program(nativePrograms.crowd, [
        ...[port, peers, peers, PAYLOAD_BYTES, intervalNs, warmup, messages, join(folder, 'latencies.f64')]
      ])
    )
    await crowd.next(DEADLINE_MS)
    crowd.write('go')
    const web = start(
      node('net/web_client.mjs', [
        ...['--port', webPort, '--intervalMs', 1000 / REQUESTS_PER_SECOND],
        ...['--warmup', Math.round(warmupSeconds * REQUESTS_PER_SECOND)],
        ...['--requests', Math.round(seconds * REQUESTS_PER_SECOND)]
      ])
    )
    await pause(warmupSeconds * 1000)
    // All of it is under way; what follows is shorter than what is left.
    const { share } = await shareOf(server, () => pause(seconds * 800))
    const { p50Us, p99Us } = await web.next(DEADLINE_MS)
    await crowd.next(DEADLINE_MS)
    return { share, p50Us, p99Us }
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

async function runSilent(backend, { idleSeconds }) {
  const server = node('zerio/silent_server.mjs', ['--backend', backend, '--heartbeatMs', HEARTBEAT_MS])
  const programs = [server]
  try {
    const { port } = await server.next()
    const peers = node('net/silent_peers.mjs', ['--port', port, '--peers', SILENT_PEERS])
    programs.push(peers)
    await peers.next(DEADLINE_MS)
    await pause(500)
    const { share } = await shareOf(server, () => pause(idleSeconds * 1000))
    return { share }
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

/** @type {import('./index.mjs').Section} */
export const ordinary = {
  name: 'ordinary',
  title: 'An ordinary program',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const { counts, leftOut } = peerCounts(
      sizes.peers.map((count) => (Number.isFinite(count) ? count : crowdMax()))
    )
    const folder = mkdtempSync(join(tmpdir(), 'zerio-perf-'))
    const rows = []
    const idle = []
    const failures = {}
    try {
      for (const peers of [...new Set(counts)]) {
        const programs = {}
        for (const backend of backends)
          programs[`zerio (${backend})`] = () =>
            runOrdinary(node('zerio/ordinary.mjs', ['--backend', backend]), peers, sizes, folder)
        programs['node:net'] = () => runOrdinary(node('net/ordinary.mjs'), peers, sizes, folder)
        const label = `${peers} peers`
        const outcome = await interleave(programs, sizes.repetitions, (line) => progress(`${label} ${line}`))
        for (const [program, runs] of Object.entries(outcome.results)) {
          const middle = (field) => median(runs.map((run) => run[field]))
          rows.push({
            program,
            peers,
            share: middle('share'),
            p50Us: middle('p50Us'),
            p99Us: middle('p99Us'),
            runs: runs.map(({ share, p50Us }) => ({ share, p50Us }))
          })
        }
        for (const [name, message] of Object.entries(outcome.failures))
          failures[`${name}, ${label}`] = message
      }
      const silent = Object.fromEntries(backends.map((backend) => [backend, () => runSilent(backend, sizes)]))
      const outcome = await interleave(silent, sizes.repetitions, (line) => progress(`silent peers ${line}`))
      for (const [backend, runs] of Object.entries(outcome.results)) {
        const shares = runs.map(({ share }) => share)
        idle.push({ backend, share: median(shares), shares })
      }
      for (const [backend, message] of Object.entries(outcome.failures))
        failures[`silent peers, ${backend}`] = message
    } finally {
      rmSync(folder, { recursive: true })
    }
    return { rows, idle, failures, leftOut, repetitions: sizes.repetitions }
  },

  render({ rows, idle, failures, leftOut, repetitions }, { data }) {
    const find = findIn(rows)
    const ofNet = (row, field) => {
      const net = row.program === 'node:net' ? undefined : find(row.peers, 'node:net')
      return times(row[field], net?.[field])
    }
    data.add(
      'ordinary',
      rows.map(({ peers, program, share, p50Us, p99Us }) => ({
        peers,
        program,
        cpu_percent: rounded(share * 100),
        http_p50_us: rounded(p50Us),
        http_p99_us: rounded(p99Us)
      }))
    )
    const most = Math.max(...rows.map(({ peers }) => peers))
    const shown = rows.filter(({ peers }) => peers === most)
    return [
      `A timer every 5 ms, ${REQUESTS_PER_SECOND} http requests a second and ${MESSAGES_PER_SECOND} messages of ${PAYLOAD_BYTES} B a second, echoed, in one process; all but the peer whose turn it is say nothing; ${repeated(repetitions)}.`,
      `CPU time is that of the whole process as a part of one processor. The http client is a process of its own with one connection. Smaller crowds are in the data file. ${data.link('ordinary')}`,
      '',
      table(
        ['peers', 'program', 'CPU', 'of node:net', 'http p50', 'of node:net', 'http p99'],
        shown.map((row) => [
          row.peers,
          row.program,
          sharePercent(row.share),
          ofNet(row, 'share'),
          us(row.p50Us),
          ofNet(row, 'p50Us'),
          us(row.p99Us)
        ])
      ),
      '',
      `A server with ${SILENT_PEERS} silent peers and heartbeats every ${HEARTBEAT_MS / 1000} s takes of one processor (aim: ≤ ${sharePercent(IDLE_SHARE_MAX)}): ${idle.map(({ backend, share }) => `${backend} ${sharePercent(share)}`).join(', ')}.`,
      '',
      ...leftOut.map(
        (peers) => `- ${peers} peers were left out: this system allows a process fewer open files.`
      ),
      ...failed(failures)
    ].join('\n')
  },

  noteworthy({ rows, idle }) {
    const find = findIn(rows)
    // One line for each backend: the crowd that costs most.
    const programs = [...new Set(rows.map(({ program }) => program))].filter((name) => name !== 'node:net')
    const ratios = programs.flatMap((program) => {
      const pairs = rows
        .filter((row) => row.program === program)
        .map((row) => [row, find(row.peers, 'node:net')])
        .filter(([, net]) => net !== undefined)
      if (pairs.length === 0) return []
      const worst = (field) =>
        pairs
          .map(([row, net]) => ratiosWithin(row.runs, net.runs, field))
          .sort((one, other) => median(other) - median(one))[0]
      const what = `an ordinary program, the worst of all crowds, ${program}:`
      return [
        atMost(`${what} CPU, of \`node:net\`'s`, worst('share'), 1),
        atMost(`${what} http p50, of \`node:net\`'s`, worst('p50Us'), 1)
      ]
    })
    const silent = idle.map(({ backend, shares }) =>
      atMost(
        `CPU of a server with ${SILENT_PEERS} silent peers, ${backend}, of ${sharePercent(IDLE_SHARE_MAX)}`,
        shares.map((share) => share / IDLE_SHARE_MAX),
        1
      )
    )
    return [...ratios, ...silent]
  }
}

const sharePercent = (share) => `${(share * 100).toFixed(2)} %`

function findIn(rows) {
  return (peers, program) => rows.find((row) => row.peers === peers && row.program === program)
}
