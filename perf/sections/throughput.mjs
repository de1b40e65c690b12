// Messages one way, as fast as they go: by size, batched and with a flush for each, beside C.
import { join } from 'node:path'
import { atLeast } from '../lib/aims.mjs'
import { interleave } from '../lib/interleave.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { runPair, runProgram } from '../lib/processes.mjs'
import { median, spread } from '../lib/stats.mjs'
import { count, percent, repeated, table } from '../report/markdown.mjs'

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
  'c single': (bytes, sizes) => runProgram(nativePrograms.oneWay, [bytes, sizes.durationMs, 'single']),
  'claim, flush': (bytes, sizes, backend) =>
    runOneWay('claim_client.mjs', bytes, sizes, backend, ['--flushEach']),
  'send, flush': (bytes, sizes, backend) =>
    runOneWay('send_client.mjs', bytes, sizes, backend, ['--flushEach'])
}
const isNative = (way) => way.startsWith('c ')
const referenceOf = (way) => (way.endsWith('flush') ? 'c single' : 'c framed')

const zerio = (script) => join(import.meta.dirname, '../zerio', script)

async function runOneWay(sender, bytes, { warmupMs, durationMs }, backend, flags) {
  const common = ['--backend', backend]
  const mask = ['--checkMask', bytes > LONG_BYTES ? 255 : 4095]
  const pair = await runPair(
    {
      script: zerio('sink_server.mjs'),
      flags: [...common, '--warmupMs', warmupMs, '--durationMs', durationMs, ...mask]
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
        rows.push({ bytes, program, messagesPerSecond: median(rates), spread: spread(rates) })
      }
      for (const [name, message] of Object.entries(outcome.failures))
        failures[`${name}, ${bytes} B`] = message
    }
    return { rows, failures, repetitions: sizes.repetitions, aimRepetitions: sizes.aimRepetitions }
  },

  render({ rows, failures, repetitions, aimRepetitions }, charts) {
    const find = (bytes, program) => rows.find((row) => row.bytes === bytes && row.program === program)
    charts.add('throughput', {
      title: 'Messages per second, one way',
      kind: 'lines',
      x: { field: 'bytes', title: 'bytes in a message', log: true },
      y: { field: 'messagesPerSecond', title: 'messages per second', log: true },
      rows: rows.map((row) => ({ ...row, series: row.program }))
    })
    const shown = rows.map(({ bytes, program, messagesPerSecond, spread }) => {
      const way = program.replace(/ \(.*/, '')
      const reference = find(bytes, referenceOf(way))
      return [
        bytes,
        program,
        count(messagesPerSecond),
        `${((messagesPerSecond * bytes) / 1e6).toFixed(0)} MB/s`,
        isNative(way) || reference === undefined
          ? ''
          : `${(messagesPerSecond / reference.messagesPerSecond).toFixed(2)} ×`,
        repetitions > 1 ? percent(spread) : ''
      ]
    })
    return [
      `One process sends, another reads a field of each message; ${repeated(repetitions)}, of ${AIM_BYTES} B ${aimRepetitions}. \`c framed\` is C with`,
      '64 KiB per system call, which `claim` and `send` are divided by; `c single` is C with one system call per message, which the ways',
      'with a `flush()` after each message are divided by.',
      '',
      table(['bytes', 'program', 'msg/s', 'payload', 'of C', 'spread'], shown),
      '',
      charts.image('throughput'),
      '',
      ...Object.entries(failures).map(([name, message]) => `- ${name} failed: ${message}`)
    ].join('\n')
  },

  noteworthy: ({ rows }) =>
    [
      ['send', 0.6],
      ['claim', 0.95]
    ].flatMap(([way, aim]) => {
      const own = rows.find((row) => row.bytes === AIM_BYTES && row.program === `${way} (epoll)`)
      const c = rows.find((row) => row.bytes === AIM_BYTES && row.program === 'c framed')
      if (own === undefined || c === undefined) return []
      return atLeast(`${AIM_BYTES} B one way, \`${way}\``, own.messagesPerSecond / c.messagesPerSecond, aim)
    })
}
