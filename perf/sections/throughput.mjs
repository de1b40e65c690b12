// Messages one way, as fast as they go: by size, batched and with a flush for each, beside C.
import { join } from 'node:path'
import { atLeast } from '../lib/aims.mjs'
import { interleave } from '../lib/interleave.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { runPair, runProgram } from '../lib/processes.mjs'
import { median, ratiosWithin, spread } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { count, failed, repeated, table, times } from '../report/markdown.mjs'

const SIZES = [16, 32, 64, 256, 1024, 4096, 16384, 65536]
const QUICK_SIZES = [32, 1024, 65536]
const LONG_BYTES = 1024
// The size that the aims are about.
const AIM_BYTES = 32
const FULL = { sizes: SIZES, warmupMs: 300, durationMs: 400, repetitions: 3, aimRepetitions: 11 }
const QUICK = { sizes: QUICK_SIZES, warmupMs: 50, durationMs: 100, repetitions: 1, aimRepetitions: 1 }
const WAYS = {
  'c framed': (bytes, sizes) => runProgram(nativePrograms.oneWay, [bytes, sizes.durationMs, 'nagle']),
  claim: (bytes, sizes, backend) => runOneWay('claim_client.mjs', bytes, sizes, backend, []),
  send: (bytes, sizes, backend) => runOneWay('send_client.mjs', bytes, sizes, backend, []),
  run: (bytes, sizes, backend) => runOneWay('run_client.mjs', bytes, sizes, backend, [], ['--runs']),
  'c single': (bytes, sizes) => runProgram(nativePrograms.oneWay, [bytes, sizes.durationMs, 'single']),
  'claim, flush': (bytes, sizes, backend) =>
    runOneWay('claim_client.mjs', bytes, sizes, backend, ['--flushEach']),
  'send, flush': (bytes, sizes, backend) =>
    runOneWay('send_client.mjs', bytes, sizes, backend, ['--flushEach'])
}
const isNative = (way) => way.startsWith('c ')

const zerio = (script) => join(import.meta.dirname, '../zerio', script)

async function runOneWay(sender, bytes, { warmupMs, durationMs }, backend, flags, sinkFlags = []) {
  const common = ['--backend', backend]
  const mask = ['--checkMask', bytes > LONG_BYTES ? 255 : 4095]
  const pair = await runPair(
    {
      script: zerio('sink_server.mjs'),
      flags: [...common, '--warmupMs', warmupMs, '--durationMs', durationMs, ...mask, ...sinkFlags]
    },
    { script: zerio(sender), flags: [...common, '--bytes', bytes, ...flags] }
  )
  return pair.server
}

/** @type {import('./index.mjs').Section} */
export const throughput = {
  name: 'throughput',
  title: 'Throughput by size',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const rows = []
    const failures = {}
    for (const bytes of sizes.sizes) {
      const programs = {}
      for (const [way, run] of Object.entries(WAYS)) {
        if (isNative(way)) programs[way] = () => run(bytes, sizes)
        else
          for (const backend of backends) programs[`${way} (${backend})`] = () => run(bytes, sizes, backend)
      }
      const repetitions = bytes === AIM_BYTES ? sizes.aimRepetitions : sizes.repetitions
      const outcome = await interleave(programs, repetitions, (line) => progress(`${bytes} B ${line}`))
      for (const [program, runs] of Object.entries(outcome.results)) {
        const rates = runs.map(({ messagesPerSecond }) => messagesPerSecond)
        const ofC = ratiosWithin(runs, outcome.results['c framed'], 'messagesPerSecond')
        rows.push({ bytes, program, messagesPerSecond: median(rates), spread: spread(rates), ofC })
      }
      for (const [name, message] of Object.entries(outcome.failures))
        failures[`${name}, ${bytes} B`] = message
    }
    return { rows, failures, repetitions: sizes.repetitions, aimRepetitions: sizes.aimRepetitions }
  },

  render({ rows, failures, repetitions, aimRepetitions }, { charts, data }) {
    charts.add('throughput', {
      title: 'Messages per second, one way',
      kind: 'lines',
      x: { field: 'bytes', title: 'bytes in a message', log: true },
      y: { field: 'messagesPerSecond', title: 'messages per second', log: true },
      rows: rows.map((row) => ({ ...row, series: row.program }))
    })
    data.add(
      'throughput',
      rows.map(({ bytes, program, messagesPerSecond, spread }) => ({
        bytes,
        program,
        messages_per_second: Math.round(messagesPerSecond),
        spread: repetitions > 1 ? rounded(spread) : ''
      }))
    )
    return [
      `One process sends, another reads a field of each message; \`run\` with \`claimRun\` and \`onRun\`, 64 KiB at a time; ${repeated(repetitions)}, of ${AIM_BYTES} B ${aimRepetitions}.`,
      `\`c framed\` is C with 64 KiB per system call; the other columns are divided by it. The data file has 16 B, and the ways with a flush after each message, too. ${data.link('throughput')}`,
      '',
      besideC(rows),
      '',
      charts.image('throughput'),
      '',
      ...failed(failures)
    ].join('\n')
  },

  noteworthy: ({ rows }) =>
    [
      ['send', 0.6],
      ['claim', 0.95]
    ].flatMap(([way, aim]) => {
      const own = rows.find((row) => row.bytes === AIM_BYTES && row.program === `${way} (epoll)`)
      if (own === undefined || own.ofC.length === 0) return []
      return atLeast(`${AIM_BYTES} B one way, \`${way}\``, own.ofC, aim)
    })
}

/** A line for each size: what C reaches, and what part of it the others do. */
function besideC(rows) {
  const find = (bytes, program) =>
    rows.find((row) => row.bytes === bytes && row.program === program)?.messagesPerSecond
  const programs = [...new Set(rows.map(({ program }) => program))].filter(
    (program) => !isNative(program) && !program.includes('flush')
  )
  return table(
    ['bytes', 'c framed, msg/s', ...programs],
    [...new Set(rows.map(({ bytes }) => bytes))]
      .filter((bytes) => bytes >= AIM_BYTES)
      .map((bytes) => {
        const c = find(bytes, 'c framed')
        const cell = (program) => times(find(bytes, program), c)
        return [bytes, c === undefined ? '' : count(c), ...programs.map(cell)]
      })
  )
}
