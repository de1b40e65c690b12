// Long messages: how many bytes a second one process sends and another receives whole, and how long a message takes to come back,
// beside a C program that sends and receives each where it lies.
import { join } from 'node:path'
import { atLeast } from '../lib/aims.mjs'
import { interleave } from '../lib/interleave.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { runPair, runProgram } from '../lib/processes.mjs'
import { median, ratiosWithin } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { count, failed, repeated, table, times, us } from '../report/markdown.mjs'

const KIB = 1024
/** All others are in the data file. */
const SHOWN = new Set([KIB, 64 * KIB, 256 * KIB, KIB ** 2, 16 * KIB ** 2 - 1])
const LENGTHS = [KIB, 16 * KIB, 64 * KIB, 256 * KIB, KIB ** 2, 4 * KIB ** 2, 16 * KIB ** 2 - 1]
const KINDS = ['one way', 'echo']
const FULL = { durationMs: 600, repetitions: 5 }
const QUICK = { durationMs: 100, repetitions: 1 }
const REFERENCE = 'c'
const OF_C_MIN = 0.95

const zerio = (script) => join(import.meta.dirname, '../zerio', script)

/** More is better for both. */
const speedOf = (kind, { p50Us, messagesPerSecond }) => ({
  perSecond: kind === 'echo' ? 1e6 / p50Us : messagesPerSecond
})

async function runC(bytes, kind, durationMs) {
  const mode = kind === 'echo' ? 'echo' : 'oneway'
  return speedOf(kind, await runProgram(nativePrograms.long, [bytes, durationMs, mode]))
}

async function runZerio(backend, bytes, kind, durationMs) {
  const echo = kind === 'echo'
  const flags = [
    '--backend',
    backend,
    '--bytes',
    bytes,
    '--durationMs',
    durationMs,
    ...(echo ? ['--echo'] : [])
  ]
  const pair = await runPair(
    { script: zerio('long_server.mjs'), flags },
    { script: zerio('long_client.mjs'), flags }
  )
  return speedOf(kind, echo ? pair.client : pair.server)
}

/** @type {import('./index.mjs').Section} */
export const long = {
  name: 'long',
  title: 'Long messages',

  async run({ quick, backends, progress }) {
    const { durationMs, repetitions } = quick ? QUICK : FULL
    const programs = {}
    for (const kind of KINDS)
      for (const bytes of LENGTHS) {
        programs[`${REFERENCE} ${kind} ${bytes}`] = () => runC(bytes, kind, durationMs)
        for (const backend of backends)
          programs[`zerio (${backend}) ${kind} ${bytes}`] = () => runZerio(backend, bytes, kind, durationMs)
      }
    const { results, failures } = await interleave(programs, repetitions, progress)
    const names = [REFERENCE, ...backends.map((backend) => `zerio (${backend})`)]
    const rows = KINDS.flatMap((kind) =>
      LENGTHS.flatMap((bytes) =>
        names.flatMap((program) => {
          const runs = results[`${program} ${kind} ${bytes}`]
          if (runs === undefined) return []
          const ofC = ratiosWithin(runs, results[`${REFERENCE} ${kind} ${bytes}`], 'perSecond')
          return [{ program, kind, bytes, perSecond: median(runs.map(({ perSecond }) => perSecond)), ofC }]
        })
      )
    )
    return { rows, failures, repetitions }
  },

  render({ rows, failures, repetitions }, { data }) {
    data.add(
      'long',
      rows.map(({ program, kind, bytes, perSecond, ofC }) => ({
        program,
        kind,
        bytes,
        per_second: rounded(perSecond),
        of_c: rounded(ofC.length === 0 ? undefined : median(ofC))
      }))
    )
    const programs = [...new Set(rows.map(({ program }) => program))].filter(
      (program) => program !== REFERENCE
    )
    const find = (program, kind, bytes) =>
      rows.find((row) => row.program === program && row.kind === kind && row.bytes === bytes)
    const ofC = (row) => (row === undefined || row.ofC.length === 0 ? '' : times(median(row.ofC), 1))
    return [
      'Messages that are sent one after the other as fast as they are taken, and messages of which each is sent when the one before has come back; all',
      `processes sleep while there is nothing to do. ${repeated(repetitions)}; more than 1 × is faster than C. ${data.link('long')}`,
      '',
      table(
        ['bytes', 'c, one way', ...programs, 'c, echo, p50', ...programs],
        LENGTHS.filter((bytes) => SHOWN.has(bytes)).map((bytes) => {
          const [way, back] = KINDS.map((kind) => find(REFERENCE, kind, bytes))
          return [
            count(bytes),
            way && `${count(Math.round((way.perSecond * bytes) / 1e6))} MB/s`,
            ...programs.map((program) => ofC(find(program, 'one way', bytes))),
            back && us(1e6 / back.perSecond),
            ...programs.map((program) => ofC(find(program, 'echo', bytes)))
          ]
        })
      ),
      '',
      ...failed(failures)
    ].join('\n')
  },

  noteworthy: ({ rows }) => {
    const own = rows.filter(({ program, ofC }) => program.startsWith('zerio') && ofC.length > 0)
    return [...new Set(own.map(({ program }) => program))].flatMap((program) =>
      KINDS.flatMap((kind) => {
        const cells = own.filter((row) => row.program === program && row.kind === kind)
        const [worst] = cells.sort((a, b) => median(a.ofC) - median(b.ofC))
        if (worst === undefined) return []
        return atLeast(
          `1 KiB to 16 MiB, ${kind}, ${program}, at worst (${count(worst.bytes)} B)`,
          worst.ofC,
          OF_C_MIN
        )
      })
    )
  }
}
