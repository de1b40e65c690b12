// One message to many peers: the sender's CPU time per delivery, and the time until the last peer has it.
import { join } from 'node:path'
import { atMost } from '../lib/aims.mjs'
import { peerCounts } from '../lib/files_limit.mjs'
import { interleave } from '../lib/interleave.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { Program } from '../lib/processes.mjs'
import { median, ratiosWithin } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { failed, repeated, table, times } from '../report/markdown.mjs'

/** Each with its aims: CPU per delivery at most so many times that of the C loop. */
const TURNS = [
  { bytes: 64, perTurn: 1, epollMax: 1, ioUringMax: 0.9 },
  { bytes: 64, perTurn: 10, epollMax: 1.05, ioUringMax: 1.05 },
  { bytes: 16_384, perTurn: 1, epollMax: 1, ioUringMax: 1 }
]
const CHARTED = TURNS.filter(({ bytes, perTurn }) => bytes === 64 && perTurn === 1)
const DELIVERIES_PER_BLOCK = 20_000
const TURNS_MIN = 3
// What one peer is sent in a block has to fit into its ring and the socket: nothing may be refused.
const BYTES_PER_BLOCK_MAX = 131_072
// A run with the most peers takes half a minute, and most of it to connect them.
const CROWD_MIN = 10_000
const FULL = { peers: [10, 100, 1_000, CROWD_MIN], blocks: 12, repetitions: 5, crowdRepetitions: 5 }
const QUICK = { peers: [100, 1_000], blocks: 5, repetitions: 1, crowdRepetitions: 1 }
const DEADLINE_MS = 120_000

/** This crowd and the largest; the others are in the data file. */
const SHOWN = 100

const script = (path) => join(import.meta.dirname, '..', path)

function turnsPerBlock(peers, { bytes, perTurn }) {
  const turns = Math.round(DELIVERIES_PER_BLOCK / (peers * perTurn))
  return Math.max(TURNS_MIN, Math.min(turns, Math.floor(BYTES_PER_BLOCK_MAX / (bytes * perTurn))))
}

async function runFanOut(sender, peers, bytes) {
  const programs = [sender]
  try {
    const { port } = await sender.next()
    const sink = new Program(nativePrograms.sink, [port, peers, bytes])
    programs.push(sink)
    await sink.next(DEADLINE_MS)
    const { cpuNs, lastUs } = await sender.next(DEADLINE_MS)
    return { cpuNs: median(cpuNs), lastUs: median(lastUs) }
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

function programsFor(peers, turn, blocks, backends) {
  const { bytes, perTurn } = turn
  const turns = turnsPerBlock(peers, turn)
  const flags = [
    '--bytes',
    bytes,
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
      runFanOut(new Program(nativePrograms.fanOut, [bytes, peers, perTurn, turns, blocks]), peers, bytes)
  }
  for (const backend of backends) {
    programs[`zerio (${backend})`] = () =>
      runFanOut(startNode('zerio/fan_out_server.mjs', ['--backend', backend]), peers, bytes)
  }
  programs['node:net'] = () => runFanOut(startNode('net/fan_out_server.mjs'), peers, bytes)
  if (perTurn > 1) {
    programs['node:net batched'] = () =>
      runFanOut(startNode('net/fan_out_server.mjs', ['--batched']), peers, bytes)
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
      for (const turn of TURNS) {
        const { bytes, perTurn } = turn
        const programs = programsFor(peers, turn, sizes.blocks, backends)
        const label = `${peers} peers, ${perTurn} of ${bytes} B a turn`
        const repetitions = peers >= CROWD_MIN ? sizes.crowdRepetitions : sizes.repetitions
        const outcome = await interleave(programs, repetitions, (line) => progress(`${label} ${line}`))
        rows.push(...rowsOf(outcome.results, { peers, bytes, perTurn }))
        for (const [name, message] of Object.entries(outcome.failures))
          failures[`${name}, ${label}`] = message
      }
    }
    return { rows, failures, leftOut, repetitions: sizes.repetitions }
  },

  render({ rows, failures, leftOut, repetitions }, { charts, data }) {
    for (const turn of CHARTED) {
      charts.add(chartOf(turn), {
        title: `CPU per delivery, ${nameOf(turn)}`,
        kind: 'lines',
        x: { field: 'peers', title: 'peers', log: true },
        y: { field: 'cpuNs', title: 'ns of the sender per delivery', log: true },
        rows: rows.filter((row) => isOf(row, turn)).map((row) => ({ ...row, series: row.program }))
      })
    }
    data.add(
      'fan_out',
      rows.map(({ peers, bytes, perTurn, program, cpuNs, ofC, lastUs }) => ({
        peers,
        bytes,
        messages_per_turn: perTurn,
        program,
        cpu_ns_per_delivery: rounded(cpuNs),
        of_the_c_loop: ofC === undefined ? '' : Number(ofC.toFixed(3)),
        last_peer_us: rounded(lastUs)
      }))
    )
    const programs = [...new Set(rows.map(({ program }) => program))]
    const compared = programs.filter((program) => program.startsWith('zerio'))
    return [
      `Messages to every peer in each turn of the event loop; ${repeated(repetitions)}.`,
      'CPU time is that of the sending process, all threads, divided by messages times peers. The C loop calls `send` once',
      `per peer and turn, with all messages of the turn. \`node:net\` calls \`write\` for each message, \`node:net batched\` once per peer and turn. The last columns are medians of the ratios of each round. The peers are sockets of one C program, which also says when the last of them has a message. Other crowds are in the data file. ${data.link('fan_out')}`,
      '',
      table(
        ['peers', 'a turn', ...programs, ...compared.map((program) => `${program} of C`)],
        [...new Set(rows.map(({ peers }) => peers))]
          .filter((peers, i, all) => peers === SHOWN || i === all.length - 1)
          .flatMap((peers) =>
            TURNS.map((turn) => {
              const find = (program) =>
                rows.find((row) => row.peers === peers && isOf(row, turn) && row.program === program)
              return [
                peers,
                nameOf(turn),
                ...programs.map((program) =>
                  find(program) === undefined ? '' : `${find(program).cpuNs.toFixed(0)} ns`
                ),
                ...compared.map((program) => times(find(program)?.ofC, 1))
              ]
            })
          )
      ),
      '',
      ...CHARTED.map((turn) => charts.image(chartOf(turn))),
      '',
      ...leftOut.map(
        (peers) => `- ${peers} peers were left out: this system allows a process fewer open files.`
      ),
      ...failed(failures)
    ].join('\n')
  },

  /** The worst ratio of all crowds. */
  noteworthy({ rows }) {
    return TURNS.flatMap((turn) =>
      [
        ['zerio (epoll)', turn.epollMax],
        ['zerio (io_uring)', turn.ioUringMax]
      ].flatMap(([program, aim]) => {
        const compared = rows.filter(
          (row) => row.peers >= 100 && isOf(row, turn) && row.program === program && row.ratios.length > 0
        )
        const ratios = compared.map(({ ratios }) => ratios).sort((one, other) => median(other) - median(one))
        const what = `fan-out to 100 peers and more, ${nameOf(turn)}, ${program}: CPU of the C loop's, at worst`
        return ratios.length === 0 ? [] : [atMost(what, ratios[0], aim)]
      })
    )
  }
}

/** A row for each program; `ofC` is its CPU time divided by that of the C loop in the same round. */
function rowsOf(results, group) {
  const c = results['c send loop']
  return Object.entries(results).map(([program, runs]) => {
    const ratios = program.startsWith('zerio') ? ratiosWithin(runs, c, 'cpuNs') : []
    return {
      ...group,
      program,
      cpuNs: median(runs.map((run) => run.cpuNs)),
      lastUs: median(runs.map((run) => run.lastUs)),
      ratios,
      ...(ratios.length > 0 ? { ofC: median(ratios) } : {})
    }
  })
}

const isOf = (row, { bytes, perTurn }) => row.bytes === bytes && row.perTurn === perTurn
const nameOf = ({ bytes, perTurn }) => `${perTurn} × ${bytes} B`
const chartOf = ({ bytes, perTurn }) => `fan_out_${bytes}_${perTurn}`
