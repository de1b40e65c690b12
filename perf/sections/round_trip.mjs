// Round trips on a schedule: sizes, intervals and bursts, for every wait strategy and backend, beside C.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atMost } from '../lib/aims.mjs'
import { formatCells, parseCells } from '../lib/cells.mjs'
import { interleave } from '../lib/interleave.mjs'
import { curveOf, emptyHistogram, hgrmOf, recordFile, summaryOf, WINDOW_SAMPLES } from '../lib/latencies.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { Program, runProgram } from '../lib/processes.mjs'
import { STRATEGIES } from '../lib/programs.mjs'
import { median } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { failed, table, times, us } from '../report/markdown.mjs'

const SIZES = [32, 128, 512, 1024]
const INTERVALS_US = [10, 20, 40, 100]
const BURSTS = [1, 2, 5, 50]
// A longer queue than its neighbours' shows nothing but the machine's stalls, so the widest interval is the one to look at.
const SHOWN = '32:100:1'
const KEPT_UP_PART = 0.95
/** The figures of a cell, and what the data file calls them. */
const COLUMNS = {
  p50Us: 'p50_us',
  p90Us: 'p90_us',
  p99Us: 'p99_us',
  p999Us: 'p99_9_us',
  p9999Us: 'p99_99_us',
  maxUs: 'max_us'
}
const FULL = { cellMs: 200, burstsMin: 3_000, messagesMax: 100_000, repetitions: 2 }
const QUICK = { cellMs: 10, burstsMin: 200, messagesMax: 5_000, repetitions: 1 }

/** `hybrid` spins as `adaptive` does at short intervals, and sleeps as `blocking` does at long ones; `spin` takes as long as `manual`. */
const isShown = (name) => !/zerio (hybrid|spin)/.test(name)

const zerio = (script) => join(import.meta.dirname, '../zerio', script)

function cellsOf({ cellMs, burstsMin, messagesMax }) {
  const texts = SIZES.flatMap((bytes) =>
    INTERVALS_US.flatMap((intervalUs) =>
      BURSTS.map((burst) => {
        const bursts = Math.max(burstsMin, Math.round((cellMs * 1000) / intervalUs))
        return `${bytes}:${intervalUs}:${burst}:${Math.min(bursts, Math.max(messagesMax / burst, burstsMin / 2))}`
      })
    )
  )
  return parseCells(texts.join())
}

/** @type {import('./index.mjs').Section} */
export const roundTrip = {
  name: 'round-trip',
  title: 'Round trip on a schedule',

  async run({ quick, backends, folder, progress }) {
    const sizes = quick ? QUICK : FULL
    const cells = cellsOf(sizes)
    const samples = mkdtempSync(join(tmpdir(), 'zerio-perf-'))
    const programs = {
      'c spin': () => runC('spin', cells, samples),
      'c epoll': () => runC('epoll', cells, samples)
    }
    for (const backend of backends) {
      for (const strategy of STRATEGIES) {
        programs[`zerio ${strategy} (${backend})`] = () => runZerio(strategy, backend, cells, samples)
      }
    }
    const histograms = new Map()
    // Each run's samples go into the histograms at once, so that the next run can use the files again.
    const recorded = Object.entries(programs).map(([name, run]) => [
      name,
      async () => {
        const results = await run()
        return results.map(({ cell, bursts, seconds, file }) => {
          const key = `${name} ${cell}`
          if (!histograms.has(key)) histograms.set(key, emptyHistogram())
          const windows = recordFile(histograms.get(key), file)
          return { cell, windows, keepsUp: (bursts * Number(cell.split(':')[1])) / 1e6 / seconds }
        })
      }
    ])
    try {
      const { results, failures } = await interleave(
        Object.fromEntries(recorded),
        sizes.repetitions,
        progress
      )
      return { programs: summarize(results, histograms, folder), failures, repetitions: sizes.repetitions }
    } finally {
      rmSync(samples, { recursive: true })
    }
  },

  render({ programs, failures, repetitions }, { charts, data }) {
    const names = Object.keys(programs)
    const [bytes, intervalUs] = SHOWN.split(':')
    data.add('round_trip', matrixRows(programs))
    charts.add('round_trip', {
      title: `Round trip, ${bytes} B every ${intervalUs} µs`,
      kind: 'percentiles',
      rows: names.flatMap((name) => programs[name][SHOWN].curve.map((point) => ({ ...point, program: name })))
    })
    return [
      `One message of ${bytes} B every ${intervalUs} µs, ${repetitions} runs together. The sending side polls without sleeping; the echo side waits with the strategy named.`,
      'Time counts from when a message was **due**, not from when it was sent, so that a stall counts against every message it delays. "C" is `c epoll` for `blocking` and `c spin` for the others. The p99 of a',
      `window is the median of those of ${WINDOW_SAMPLES} messages in a row each: it leaves out the moments in which this machine gave its processors to others, and is what is compared.`,
      '',
      table(
        ['echo side', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max', 'p99 of a window', 'p50 / C', 'p99 / C'],
        names.filter(isShown).map((name) => {
          const cell = programs[name][SHOWN]
          const reference = programs[name.includes('blocking') ? 'c epoll' : 'c spin']?.[SHOWN]
          const ratio = (column) => (name.startsWith('c ') ? '' : times(cell[column], reference?.[column]))
          return [
            name,
            ...Object.keys(COLUMNS).map((column) => us(cell[column])),
            us(cell.quietP99Us),
            ratio('p50Us'),
            ratio('quietP99Us')
          ]
        })
      ),
      '',
      charts.image('round_trip'),
      '',
      `Other sizes, intervals and bursts, \`spin\` and \`hybrid\`, are in the data file. ${data.link('round_trip')} A burst is sent when the one before is back; where`,
      'that is later than it was due for more than a moment, the row is marked as late, and its figures are those of a queue that',
      'grows. A run leaves `.hgrm` files of all of them in `perf/results/`, for any HdrHistogram plotter.',
      '',
      ...failed(failures)
    ].join('\n')
  },

  noteworthy: ({ programs }) => {
    const [own, c] = [programs['zerio manual (epoll)'], programs['c spin']]
    if (own === undefined || c === undefined) return []
    // A single cell shows what the host did in that second.
    const cells = Object.keys(c).filter(
      (cell) => own[cell].keepsUp >= KEPT_UP_PART && c[cell].keepsUp >= KEPT_UP_PART
    )
    if (cells.length === 0) return []
    const ratios = (column) => cells.map((cell) => own[cell][column] / c[cell][column])
    const what = (figure) => `round trip on a schedule, \`manual\`, ${figure}, median of all cells`
    return [
      atMost(what('p50'), ratios('p50Us'), 1.08),
      atMost(what('p99 of a window'), ratios('quietP99Us'), 1.2)
    ]
  }
}

function matrixRows(programs) {
  return Object.entries(programs).flatMap(([program, cells]) =>
    Object.entries(cells).map(([cell, summary]) => {
      const [bytes, intervalUs, burst] = cell.split(':')
      const figures = Object.entries(COLUMNS).map(([column, name]) => [name, rounded(summary[column])])
      return {
        program,
        bytes,
        interval_us: intervalUs,
        burst,
        ...Object.fromEntries(figures),
        p99_of_a_window_us: rounded(summary.quietP99Us),
        late: summary.keepsUp < KEPT_UP_PART ? 'late' : ''
      }
    })
  )
}

function summarize(results, histograms, folder) {
  const hgrmFolder = join(folder, 'hgrm')
  mkdirSync(hgrmFolder, { recursive: true })
  return Object.fromEntries(
    Object.entries(results).map(([name, runs]) => [
      name,
      Object.fromEntries(
        runs[0].map(({ cell }, i) => {
          const histogram = histograms.get(`${name} ${cell}`)
          const fileName = `${name}-${cell}`.replaceAll(/[^a-z0-9_]+/g, '-')
          writeFileSync(join(hgrmFolder, `${fileName}.hgrm`), hgrmOf(histogram))
          const keepsUp = Math.min(...runs.map((run) => run[i].keepsUp))
          const curve = cell === SHOWN ? curveOf(histogram) : undefined
          const quietP99Us = median(runs.flatMap((run) => run[i].windows))
          return [cell, { ...summaryOf(histogram), quietP99Us, keepsUp, curve }]
        })
      )
    ])
  )
}

async function runC(mode, cells, samples) {
  const results = []
  for (const { name, bytes, intervalUs, burst, bursts } of cells) {
    const file = join(samples, `${name.replaceAll(':', '-')}.f64`)
    const warmup = Math.floor(bursts / 10)
    const args = [mode, bytes, intervalUs * 1000, burst, warmup, bursts - warmup, file]
    results.push({ cell: name, ...(await runProgram(nativePrograms.paced, args)), file })
  }
  return results
}

async function runZerio(strategy, backend, cells, samples) {
  const server = new Program(process.execPath, [
    zerio('echo_server.mjs'),
    '--strategy',
    strategy,
    '--backend',
    backend
  ])
  let client
  try {
    const { port } = await server.next()
    client = new Program(process.execPath, [
      zerio('paced_client.mjs'),
      ...['--port', port, '--backend', backend, '--cells', formatCells(cells), '--folder', samples]
    ])
    const results = []
    for (const _cell of cells) results.push(await client.next())
    return results
  } finally {
    await Promise.all([client?.kill(), server.kill()])
  }
}
