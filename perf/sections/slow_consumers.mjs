// A thousand subscribers of which a hundred read nothing: what that does to the others, and to the server's memory.
import { join } from 'node:path'
import { atMost } from '../lib/aims.mjs'
import { extern, installExtern } from '../lib/extern.mjs'
import { interleave } from '../lib/interleave.mjs'
import { Program } from '../lib/processes.mjs'
import { NODE_FLAGS, runSlowConsumers } from '../lib/slow_consumers.mjs'
import { median, ratiosWithin } from '../lib/stats.mjs'
import { KEYS, SCHEDULE_FLAGS, UPDATE_BYTES } from '../lib/update_schedule.mjs'
import { rounded } from '../report/data_files.mjs'
import { count, failed, repeated, table, times, us } from '../report/markdown.mjs'

const READERS = 900
const SLOW = 100
const { perTurn, turnMs } = SCHEDULE_FLAGS
// The systems keep about a megabyte for a slow peer, and its ring a quarter of one: both are full after six seconds.
const FULL = { warmupMs: 6_000, measuredMs: 6_000, readMs: 2_000, repetitions: 9 }
const QUICK = { warmupMs: 6_500, measuredMs: 1_500, readMs: 700, repetitions: 1 }
const P99_RATIO_MAX = 1.1
/** A server that sends less of what is due has no times that could be compared. */
const ON_SCHEDULE = 0.98

const script = (path) => join(import.meta.dirname, '..', path)

/** Each program without slow subscribers and with them. */
function programsFor(servers, sizes) {
  const programs = {}
  for (const [name, { path, flags = [], framing = 'frames' }] of Object.entries(servers)) {
    for (const slow of [0, SLOW]) {
      const start = () => new Program(process.execPath, [...NODE_FLAGS, path, ...flags])
      programs[`${name}, ${slow} slow`] = async () => {
        const result = await runSlowConsumers(start, { ...sizes, readers: READERS, slow, framing })
        if (result.conflated !== undefined && result.jumped < slow)
          throw new Error(`only ${result.jumped} of ${slow} slow peers got newest values`)
        if (result.again > 0) throw new Error(`${result.again} values in place of newer ones`)
        return { program: name, slow, ...result }
      }
    }
  }
  return programs
}

const zerioServers = (backends) =>
  Object.fromEntries(
    backends.map((backend) => [
      `zerio (${backend})`,
      { path: script('zerio/updates_server.mjs'), flags: ['--backend', backend] }
    ])
  )

function otherServers(missing) {
  const net = { path: script('net/updates_server.mjs') }
  const ws = { path: extern('ws/updates_server.mjs'), framing: 'ws' }
  return {
    'node:net': net,
    'node:net batched': { ...net, flags: ['--batched'] },
    ...(missing === null ? { ws, 'ws batched': { ...ws, flags: ['--batched'] } } : {})
  }
}

/** @param {object[]} runs @param {object[] | undefined} without of the same program without slow subscribers, in the same rounds */
function rowOf(runs, without) {
  const [{ program, slow }] = runs
  const middle = (field) => median(runs.map((run) => run[field]))
  const most = (field) => Math.max(...runs.map((run) => run[field]))
  return {
    program,
    slow,
    updatesPerSecond: middle('updatesPerSecond'),
    p50Us: middle('p50Us'),
    p99Us: middle('p99Us'),
    windowP99Us: middle('windowP99Us'),
    ratios: slow === 0 ? [] : ratiosWithin(runs, without, 'windowP99Us'),
    memoryMb: most('memoryMb'),
    memoryGrowthMb: most('memoryGrowthMb'),
    memoryIsOver: runs.some((run) => run.memoryIsOver),
    collections: most('collections'),
    pauseMs: most('pauseMs')
  }
}

/** @type {import('./index.mjs').Section} */
export const slowConsumers = {
  name: 'slow-consumers',
  title: 'Slow consumers',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const missing = installExtern(progress)
    const own = await interleave(programsFor(zerioServers(backends), sizes), sizes.repetitions, progress)
    const others = await interleave(programsFor(otherServers(missing), sizes), 1, progress)
    return {
      rows: [own, others].flatMap(({ results }) =>
        Object.values(results).map((runs) => rowOf(runs, results[`${runs[0].program}, 0 slow`]))
      ),
      failures: { ...own.failures, ...others.failures },
      missing,
      measuredSeconds: sizes.measuredMs / 1000,
      repetitions: sizes.repetitions
    }
  },

  render({ rows, failures, missing, measuredSeconds, repetitions }, { data }) {
    data.add(
      'slow_consumers',
      rows.map((row) => ({
        program: row.program,
        slow_peers: row.slow,
        updates_per_second: rounded(row.updatesPerSecond),
        p50_us: rounded(row.p50Us),
        p99_us: rounded(row.p99Us),
        p99_of_a_window_us: rounded(row.windowP99Us),
        of_none_slow: rounded(ofNone(row)),
        memory_mb: rounded(row.memoryMb),
        memory_growth_mb: rounded(row.memoryGrowthMb),
        collections: row.collections,
        pauses_ms: rounded(row.pauseMs)
      }))
    )
    const updates = count((perTurn * 1000) / turnMs)
    return [
      `${updates} updates a second of ${KEYS} keys, ${UPDATE_BYTES} B each, ${perTurn} in a turn every ${turnMs} ms, to ${READERS} peers that read, without and with ${SLOW} more that`,
      `read nothing for ${measuredSeconds} s and then read again; zerio: ${repeated(repetitions)}, the others: one run. Time counts from when an update was due, and a window is half a second.`,
      "zerio has a topic with `slow: 'latest'`: the peers check that those that read get every update, and the slow ones the newest value of each key, once.",
      'The others keep what a slow peer does not read: `node:net` calls `write`, and ws `send`, for each update and peer; batched, for each turn and peer. A server',
      `that sends fewer updates than are due has the times of a queue that grows. Memory and collections are those with slow peers. ${data.link('slow_consumers')}`,
      '',
      table(
        [
          'server',
          'updates/s',
          'p99 of a window',
          'with slow peers',
          '',
          'memory',
          'growth',
          'collections',
          'pauses'
        ],
        [...new Set(rows.map(({ program }) => program))].map((program) => {
          const without = find(rows, program, 0)
          const row = find(rows, program, SLOW)
          return [
            program,
            row && count(row.updatesPerSecond),
            us(without?.windowP99Us),
            us(row?.windowP99Us),
            times(ofNone(row), 1),
            row && `${row.memoryMb.toFixed(0)} MB`,
            row && `${Math.max(0, row.memoryGrowthMb / measuredSeconds).toFixed(2)} MB/s`,
            row?.collections,
            row?.pauseMs === undefined ? '' : `${row.pauseMs.toFixed(0)} ms`
          ]
        })
      ),
      '',
      ...(missing === null ? [] : [`- ws was left out: ${missing}`]),
      ...rows
        .filter((row) => row.memoryIsOver)
        .map(
          ({ program, slow }) =>
            `- ${program} with ${slow} slow peers was stopped, because it took too much memory.`
        ),
      ...failed(failures)
    ].join('\n')
  },

  noteworthy({ rows }) {
    return rows
      .filter(({ program, slow }) => program.startsWith('zerio') && slow > 0)
      .flatMap((row) => {
        if (row.ratios.length === 0) return []
        const what = `p99 beside ${row.slow} slow consumers, of none, ${row.program}`
        const ratio = atMost(what, row.ratios, P99_RATIO_MAX)
        if ([row, find(rows, row.program, 0)].every(isOnSchedule)) return ratio
        return { ...ratio, what: `${what}, too slow for the schedule`, decision: 'missed' }
      })
  }
}

const isOnSchedule = ({ updatesPerSecond }) => updatesPerSecond >= (ON_SCHEDULE * perTurn * 1000) / turnMs

const ofNone = (row) => ((row?.ratios ?? []).length === 0 ? undefined : median(row.ratios))

const find = (rows, program, slow) => rows.find((row) => row.program === program && row.slow === slow)
