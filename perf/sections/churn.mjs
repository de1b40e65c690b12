// Connections that come and go: how many newcomers a server takes in a second, and what each costs it.
import { atLeast } from '../lib/aims.mjs'
import { crowdServer } from '../lib/crowd.mjs'
import { interleave } from '../lib/interleave.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { cpuNs } from '../lib/process_costs.mjs'
import { Program } from '../lib/processes.mjs'
import { median, ratiosWithin, spread } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { count, failed, repeated, table, times, us } from '../report/markdown.mjs'

const IN_FLIGHT = 128
const FULL = { warmupMs: 500, measuredMs: 1500, repetitions: 7 }
const QUICK = { warmupMs: 100, measuredMs: 300, repetitions: 1 }
const REFERENCE = 'c epoll'
const OF_C_MIN = 0.9

async function runChurn(server, { warmupMs, measuredMs }) {
  const programs = [server]
  try {
    const { port } = await server.next()
    const churn = new Program(nativePrograms.churn, [port, IN_FLIGHT, warmupMs, measuredMs])
    programs.push(churn)
    const before = cpuNs(server.pid)
    const { newcomersPerSecond } = await churn.next()
    const newcomers = (newcomersPerSecond * (warmupMs + measuredMs)) / 1000
    return { newcomersPerSecond, cpuUs: (cpuNs(server.pid) - before) / newcomers / 1000 }
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

function serversFor(backends) {
  const servers = { [REFERENCE]: () => new Program(nativePrograms.greeter, []) }
  for (const backend of backends)
    servers[`zerio (${backend})`] = () => crowdServer('zerio/crowd_server.mjs', ['--backend', backend])
  servers['node:net'] = () => crowdServer('net/crowd_server.mjs')
  return servers
}

/** @type {import('./index.mjs').Section} */
export const churn = {
  name: 'churn',
  title: 'Churn',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const programs = Object.fromEntries(
      Object.entries(serversFor(backends)).map(([name, start]) => [name, () => runChurn(start(), sizes)])
    )
    const { results, failures } = await interleave(programs, sizes.repetitions, progress)
    const rows = Object.entries(results).map(([program, runs]) => {
      const rates = runs.map(({ newcomersPerSecond }) => newcomersPerSecond)
      const ofC = ratiosWithin(runs, results[REFERENCE], 'newcomersPerSecond')
      const cpuUs = median(runs.map((run) => run.cpuUs))
      return { program, newcomersPerSecond: median(rates), spread: spread(rates), cpuUs, ofC }
    })
    return { rows, failures, repetitions: sizes.repetitions }
  },

  render({ rows, failures, repetitions }, { data }) {
    data.add(
      'churn',
      rows.map(({ program, newcomersPerSecond, spread: varied, cpuUs, ofC }) => ({
        program,
        newcomers_per_second: Math.round(newcomersPerSecond),
        spread: rounded(varied),
        cpu_us: rounded(cpuUs),
        of_c: rounded(ofC.length === 0 ? undefined : median(ofC))
      }))
    )
    return [
      `${IN_FLIGHT} sockets of one C program at a time connect, do the handshake and leave; ${repeated(repetitions)}. ${data.link('churn')}`,
      '',
      table(
        ['server', 'newcomers/s', 'of C', 'CPU of a newcomer'],
        rows.map(({ program, newcomersPerSecond, cpuUs, ofC }) => [
          program,
          count(newcomersPerSecond),
          program === REFERENCE || ofC.length === 0 ? '' : times(median(ofC), 1),
          us(cpuUs)
        ])
      ),
      '',
      ...failed(failures)
    ].join('\n')
  },

  noteworthy: ({ rows }) =>
    rows
      .filter(({ program, ofC }) => program.startsWith('zerio') && ofC.length > 0)
      .map(({ program, ofC }) => atLeast(`newcomers a second, ${program}`, ofC, OF_C_MIN))
}
