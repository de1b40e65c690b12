// One message to many peers: the sender's CPU time per delivery, and the time until the last peer has it.
import { join } from 'node:path'
import { atLeast, atMost } from '../lib/aims.mjs'
import { peerCounts } from '../lib/files_limit.mjs'
import { interleave } from '../lib/interleave.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { Program } from '../lib/processes.mjs'
import { median } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { failed, repeated, table, times } from '../report/markdown.mjs'

const PAYLOAD_BYTES = 32
const PER_TURN = [1, 10]
const DELIVERIES_PER_BLOCK = 20_000
const TURNS_MIN = 3
// What one peer is sent in a block has to fit into its ring and the socket: nothing may be refused.
const MESSAGES_PER_BLOCK_MAX = 2_000
// A run with the most peers takes half a minute, and most of it to connect them.
const CROWD_MIN = 10_000
const FULL = { peers: [1, 10, 100, 1_000, CROWD_MIN], blocks: 12, repetitions: 3, crowdRepetitions: 1 }
const QUICK = { peers: [1, 100, 1_000], blocks: 5, repetitions: 1, crowdRepetitions: 1 }
const DEADLINE_MS = 120_000

const script = (path) => join(import.meta.dirname, '..', path)

function blockOf(peers, perTurn) {
  const turns = Math.round(DELIVERIES_PER_BLOCK / (peers * perTurn))
  return Math.max(TURNS_MIN, Math.min(turns, MESSAGES_PER_BLOCK_MAX / perTurn))
}

async function runFanOut(sender, peers) {
  const programs = [sender]
  try {
    const { port } = await sender.next()
    const sink = new Program(nativePrograms.sink, [port, peers, PAYLOAD_BYTES])
    programs.push(sink)
    await sink.next(DEADLINE_MS)
    const { cpuNs, lastUs } = await sender.next(DEADLINE_MS)
    return { cpuNs: median(cpuNs), lastUs: median(lastUs) }
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

function programsFor(peers, perTurn, blocks, backends) {
  const turns = blockOf(peers, perTurn)
  const flags = [
    '--bytes',
    PAYLOAD_BYTES,
    '--peers',
    peers,
    '--perTurn',
    perTurn,
    '--turns',
    turns,
    '--blocks',
    blocks
  ]
  const startNode = (path, more = []) => new Program(process.execPath, [script(path), ...flags, ...more])
  const programs = {
    'c send loop': () =>
      runFanOut(new Program(nativePrograms.fanOut, [PAYLOAD_BYTES, peers, perTurn, turns, blocks]), peers)
  }
  for (const backend of backends) {
    programs[`zerio (${backend})`] = () =>
      runFanOut(startNode('zerio/fan_out_server.mjs', ['--backend', backend]), peers)
  }
  programs['node:net'] = () => runFanOut(startNode('net/fan_out_server.mjs'), peers)
  if (perTurn > 1) {
    programs['node:net batched'] = () => runFanOut(startNode('net/fan_out_server.mjs', ['--batched']), peers)
  }
  return programs
}

/** @type {import('./index.mjs').Section} */
export const fanOut = {
  name: 'fan-out',
  title: 'Fan-out',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const { counts, leftOut } = peerCounts(sizes.peers)
    const rows = []
    const failures = {}
    for (const peers of counts) {
      for (const perTurn of PER_TURN) {
        const programs = programsFor(peers, perTurn, sizes.blocks, backends)
        const label = `${peers} peers, ${perTurn} a turn`
        const repetitions = peers >= CROWD_MIN ? sizes.crowdRepetitions : sizes.repetitions
        const outcome = await interleave(programs, repetitions, (line) => progress(`${label} ${line}`))
        for (const [program, runs] of Object.entries(outcome.results)) {
          const cpuNs = median(runs.map((run) => run.cpuNs))
          rows.push({ peers, perTurn, program, cpuNs, lastUs: median(runs.map((run) => run.lastUs)) })
        }
        for (const [name, message] of Object.entries(outcome.failures))
          failures[`${name}, ${label}`] = message
      }
    }
    return { rows, failures, leftOut, repetitions: sizes.repetitions }
  },

  render({ rows, failures, leftOut, repetitions }, { charts, data }) {
    const find = findIn(rows)
    for (const perTurn of PER_TURN) {
      charts.add(`fan_out_${perTurn}`, {
        title: `CPU per delivery, ${perTurn} ${perTurn === 1 ? 'message' : 'messages'} a turn`,
        kind: 'lines',
        x: { field: 'peers', title: 'peers', log: true },
        y: { field: 'cpuNs', title: 'ns of the sender per delivery', log: true },
        rows: rows.filter((row) => row.perTurn === perTurn).map((row) => ({ ...row, series: row.program }))
      })
    }
    data.add(
      'fan_out',
      rows.map(({ peers, perTurn, program, cpuNs, lastUs }) => ({
        peers,
        messages_per_turn: perTurn,
        program,
        cpu_ns_per_delivery: rounded(cpuNs),
        last_peer_us: rounded(lastUs)
      }))
    )
    const programs = [...new Set(rows.map(({ program }) => program))]
    const groups = [...new Set(rows.map(({ peers, perTurn }) => `${peers}:${perTurn}`))].map((group) =>
      group.split(':').map(Number)
    )
    return [
      `One message of ${PAYLOAD_BYTES} B to every peer, and ten in one turn of the event loop; ${repeated(repetitions)}, one of the largest crowd.`,
      'CPU time is that of the sending process, all threads, divided by messages times peers. The C loop calls `send` once',
      'per peer and turn, with all messages of the turn. `node:net` calls `write` for each message, `node:net batched` once per peer and',
      `turn. The peers are sockets of one C program, which also says when the last of them has a message. ${data.link('fan_out')}`,
      '',
      table(
        ['peers', 'a turn', ...programs, 'zerio (epoll) of C'],
        groups.map(([peers, perTurn]) => {
          const cpu = (program) => find(peers, perTurn, program)?.cpuNs
          return [
            peers,
            perTurn,
            ...programs.map((program) => (cpu(program) === undefined ? '' : `${cpu(program).toFixed(0)} ns`)),
            times(cpu('zerio (epoll)'), cpu('c send loop'))
          ]
        })
      ),
      '',
      ...PER_TURN.map((perTurn) => charts.image(`fan_out_${perTurn}`)),
      '',
      ...leftOut.map(
        (peers) => `- ${peers} peers were left out: this system allows a process fewer open files.`
      ),
      ...failed(failures)
    ].join('\n')
  },

  noteworthy({ rows }) {
    const find = findIn(rows)
    return [...new Set(rows.map(({ peers }) => peers))]
      .filter((peers) => peers >= 100)
      .flatMap((peers) => {
        const [one, c] = [find(peers, 1, 'zerio (epoll)'), find(peers, 1, 'c send loop')]
        const [ten, net] = [find(peers, 10, 'zerio (epoll)'), find(peers, 10, 'node:net')]
        return [
          one && c && atMost(`fan-out to ${peers}, CPU of the C loop's`, one.cpuNs / c.cpuNs, 1.05),
          ten &&
            net &&
            atLeast(
              `fan-out to ${peers}, ten a turn, \`node:net\`'s CPU of zerio's`,
              net.cpuNs / ten.cpuNs,
              5
            )
        ].filter(Boolean)
      })
  }
}

function findIn(rows) {
  return (peers, perTurn, program) =>
    rows.find((row) => row.peers === peers && row.perTurn === perTurn && row.program === program)
}
