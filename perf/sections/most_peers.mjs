// As many connected peers as the system's descriptors and ports allow, of which one is active: what the others cost it, with each wait
// strategy, and in a program that has timers.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atMost } from '../lib/aims.mjs'
import { crowdServer, runCrowd } from '../lib/crowd.mjs'
import { crowdMax } from '../lib/files_limit.mjs'
import { interleave } from '../lib/interleave.mjs'
import { median, medianInterval, ratiosWithin } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { count, failed, repeated, table, times, us } from '../report/markdown.mjs'

const FULL = { peersMax: Number.POSITIVE_INFINITY, warmup: 4_000, messages: 4_000, repetitions: 5 }
const QUICK = { peersMax: 1_000, warmup: 500, messages: 1_500, repetitions: 1 }
/** Each fires every 20 to 119 ms. */
const TIMERS = 100
const OF_ALONE_MAX = 1.2
const PROGRAMS = {
  ...Object.fromEntries(
    ['blocking', 'spin', 'hybrid', 'adaptive', 'manual'].map((strategy) => [
      strategy,
      ['--strategy', strategy]
    ])
  ),
  [`blocking, ${TIMERS} timers`]: ['--timers', `${TIMERS}`]
}

const nameOf = (kind, backend, peers) => `${kind} (${backend}): ${peers}`

/** @type {import('./index.mjs').Section} */
export const mostPeers = {
  name: 'most-peers',
  title: 'As many peers as the system allows',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const peers = Math.min(crowdMax(), sizes.peersMax)
    const folder = mkdtempSync(join(tmpdir(), 'zerio-perf-'))
    try {
      const programs = {}
      for (const [kind, flags] of Object.entries(PROGRAMS)) {
        for (const backend of backends) {
          const start = () => crowdServer('zerio/crowd_server.mjs', [...flags, '--backend', backend])
          for (const many of [1, peers])
            programs[nameOf(kind, backend, many)] = () =>
              runCrowd(start(), many, 1, sizes, join(folder, 'latencies.f64'))
        }
      }
      const { results, failures } = await interleave(programs, sizes.repetitions, progress)
      const rows = Object.keys(PROGRAMS).flatMap((kind) =>
        backends.flatMap((backend) => {
          const [alone, crowd] = [1, peers].map((many) => results[nameOf(kind, backend, many)])
          if (alone === undefined || crowd === undefined) return []
          const p99Us = (runs) => median(runs.map(({ quietP99Us }) => quietP99Us))
          const ofAlone = ratiosWithin(crowd, alone, 'quietP99Us')
          return [{ kind, backend, aloneP99Us: p99Us(alone), p99Us: p99Us(crowd), ofAlone }]
        })
      )
      return { peers, rows, failures, repetitions: sizes.repetitions }
    } finally {
      rmSync(folder, { recursive: true })
    }
  },

  render({ peers, rows, failures, repetitions }, { data }) {
    data.add(
      'most_peers',
      rows.map(({ kind, backend, aloneP99Us, p99Us, ofAlone }) => ({
        program: kind,
        backend,
        peers,
        p99_alone_us: rounded(aloneP99Us),
        p99_us: rounded(p99Us),
        of_alone: rounded(median(ofAlone))
      }))
    )
    return [
      `With ${count(peers)} connected peers, as many as this system's open files and ports allow: p99 of a window alone and among them, with each wait strategy and`,
      `with ${TIMERS} timers that fire every 20 to 119 ms; ${repeated(repetitions)}. The ratios are medians of those of each round. ${data.link('most_peers')}`,
      '',
      table(
        ['p99 alone, among all', ...Object.keys(PROGRAMS)],
        [...new Set(rows.map(({ backend }) => backend))].map((backend) => [
          backend,
          ...Object.keys(PROGRAMS).map((kind) => {
            const row = rows.find((one) => one.kind === kind && one.backend === backend)
            return row === undefined ? '' : cellOf(row)
          })
        ])
      ),
      '',
      ...failed(failures)
    ].join('\n')
  },

  noteworthy: ({ peers, rows }) =>
    [...new Set(rows.map(({ backend }) => backend))].flatMap((backend) => {
      const [worst] = rows
        .filter((row) => row.backend === backend)
        .sort((a, b) => median(b.ofAlone) - median(a.ofAlone))
      return atMost(
        `p99 of one active among ${peers}, of one alone, ${backend}, at worst (\`${worst.kind}\`)`,
        worst.ofAlone,
        OF_ALONE_MAX
      )
    })
}

function cellOf({ aloneP99Us, p99Us, ofAlone }) {
  const [low, high] = medianInterval(ofAlone)
  const interval = Number.isFinite(low) ? ` (${low.toFixed(2)} to ${high.toFixed(2)})` : ''
  return `${us(aloneP99Us)}, ${us(p99Us)}; ${times(median(ofAlone), 1)}${interval}`
}
