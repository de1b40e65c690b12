// zerio beside what else there is: C, node:net, ws, zeromq and Bun, each as its own documentation advises.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { bunProgram, extern, installExtern } from '../lib/extern.mjs'
import { interleave } from '../lib/interleave.mjs'
import { format } from '../lib/message.mjs'
import { nativePrograms } from '../lib/native_programs.mjs'
import { runPair, runProgram } from '../lib/processes.mjs'
import { median, spread } from '../lib/stats.mjs'
import { rounded } from '../report/data_files.mjs'
import { count, failed, percent, repeated, table, times, us } from '../report/markdown.mjs'

const { PAYLOAD_BYTES } = format

const FULL = { warmup: 5_000, count: 20_000, warmupMs: 300, durationMs: 1_000, repetitions: 3 }
const QUICK = { warmup: 500, count: 2_000, warmupMs: 100, durationMs: 200, repetitions: 1 }

const script = (path) => join(import.meta.dirname, '..', path)
const EXTERN = {
  ws: { command: undefined },
  zeromq: { command: undefined },
  bun: { command: bunProgram }
}

function latencyPrograms(sizes, externs, backends) {
  const own = ['--warmup', sizes.warmup, '--count', sizes.count]
  const pair = async (server, client, flags, command) => {
    const side = (path) => ({ script: path, flags: [...flags, ...own], command })
    return (await runPair(side(server), side(client))).client
  }
  const native = (mode) => () =>
    runProgram(nativePrograms.pingPong, [mode, PAYLOAD_BYTES, sizes.warmup, sizes.count])
  const programs = { 'c spin': native('spin'), 'c epoll': native('epoll') }
  for (const backend of backends) {
    for (const strategy of ['manual', 'blocking']) {
      const flags = ['--strategy', strategy, '--backend', backend]
      programs[`zerio ${strategy} (${backend})`] = () =>
        pair(script('zerio/echo_server.mjs'), script('zerio/ping_pong_client.mjs'), flags)
    }
  }
  programs['node:net'] = () => pair(script('net/echo_server.mjs'), script('net/ping_pong_client.mjs'), [])
  for (const name of externs) {
    const folder = (path) => extern(`${name}/${path}`)
    programs[name] = () =>
      pair(folder('echo_server.mjs'), folder('ping_pong_client.mjs'), [], EXTERN[name].command)
  }
  return programs
}

function throughputPrograms(sizes, externs, backends) {
  const window = ['--warmupMs', sizes.warmupMs, '--durationMs', sizes.durationMs]
  const pair = async (sink, sender, flags, command) => {
    const server = { script: sink, flags: [...flags, ...window], command }
    return (await runPair(server, { script: sender, flags, command })).server
  }
  const programs = {
    'c framed': () => runProgram(nativePrograms.oneWay, [PAYLOAD_BYTES, sizes.durationMs, 'nagle'])
  }
  for (const backend of backends) {
    for (const way of ['claim', 'send']) {
      programs[`zerio ${way} (${backend})`] = () =>
        pair(script('zerio/sink_server.mjs'), script(`zerio/${way}_client.mjs`), ['--backend', backend])
    }
  }
  programs['node:net, a write per message'] = () =>
    pair(script('net/sink_server.mjs'), script('net/single_sender.mjs'), [])
  programs['node:net, batched by hand'] = () =>
    pair(script('net/batched_sink_server.mjs'), script('net/batched_sender.mjs'), [])
  for (const name of externs) {
    const folder = (path) => extern(`${name}/${path}`)
    programs[name] = () => pair(folder('sink_server.mjs'), folder('sender.mjs'), [], EXTERN[name].command)
  }
  return programs
}

/** The sections above compare the backends. */
const isShown = ({ program }) => !program.includes('io_uring')

/** @type {import('./index.mjs').Section} */
export const against = {
  name: 'against',
  title: 'Against others',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const reason = installExtern(progress)
    const missing = {}
    const externs = Object.keys(EXTERN).filter((name) => {
      if (reason !== null) missing[name] = reason
      else if (name === 'bun' && !existsSync(bunProgram))
        missing[name] = 'its package has no program for this system'
      return missing[name] === undefined
    })
    const trips = await interleave(latencyPrograms(sizes, externs, backends), sizes.repetitions, progress)
    const rates = await interleave(throughputPrograms(sizes, externs, backends), sizes.repetitions, progress)
    const middle = (runs, field) => median(runs.map((run) => run[field]))
    return {
      roundTrips: Object.entries(trips.results).map(([program, runs]) => ({
        program,
        p50Us: middle(runs, 'p50Us'),
        p99Us: middle(runs, 'p99Us'),
        p999Us: middle(runs, 'p999Us'),
        spread: spread(runs.map(({ p50Us }) => p50Us))
      })),
      rates: Object.entries(rates.results).map(([program, runs]) => ({
        program,
        messagesPerSecond: middle(runs, 'messagesPerSecond'),
        spread: spread(runs.map(({ messagesPerSecond }) => messagesPerSecond))
      })),
      failures: { ...trips.failures, ...rates.failures },
      missing,
      repetitions: sizes.repetitions
    }
  },

  render({ roundTrips, rates, failures, missing, repetitions }, { data }) {
    const isRepeated = repetitions > 1
    data.add(
      'against_round_trip',
      roundTrips.map(({ program, p50Us, p99Us, p999Us, spread }) => ({
        program,
        p50_us: rounded(p50Us),
        p99_us: rounded(p99Us),
        p99_9_us: rounded(p999Us),
        spread: isRepeated ? rounded(spread) : ''
      }))
    )
    data.add(
      'against_throughput',
      rates.map(({ program, messagesPerSecond, spread }) => ({
        program,
        messages_per_second: Math.round(messagesPerSecond),
        spread: isRepeated ? rounded(spread) : ''
      }))
    )
    const fastest = roundTrips.find(({ program }) => program === 'c epoll')
    const limit = rates.find(({ program }) => program === 'c framed')
    const noise = (value) => (isRepeated ? percent(value) : '')
    return [
      `One 32-byte message after the other, each sent when the one before is back; ${repeated(repetitions)}. \`c spin\``,
      `and \`zerio manual\` never sleep; all others do. zerio on io_uring is in the data files. ${data.link('against_round_trip')}`,
      '',
      table(
        ['program', 'p50', 'p99', 'p99.9', 'p50 of C epoll', 'spread'],
        roundTrips
          .filter(isShown)
          .map(({ program, p50Us, p99Us, p999Us, spread }) => [
            program,
            us(p50Us),
            us(p99Us),
            us(p999Us),
            times(p50Us, fastest?.p50Us),
            noise(spread)
          ])
      ),
      '',
      `32-byte messages one way, counted by the receiver, which reads a field of each. ${data.link('against_throughput')}`,
      '',
      table(
        ['program', 'msg/s', 'of C', 'spread'],
        rates
          .filter(isShown)
          .map(({ program, messagesPerSecond, spread }) => [
            program,
            count(messagesPerSecond),
            limit === undefined ? '' : `${(messagesPerSecond / limit.messagesPerSecond).toFixed(3)} ×`,
            noise(spread)
          ])
      ),
      '',
      'ws: no compression, `bufferutil` installed. zeromq: Request and Reply, Push and Pull, each call awaited. Bun: messages collected in an `ArrayBufferSink`, a write when 64 KiB are full, `drain` when a write is not taken whole.',
      '',
      ...Object.entries(missing).map(([name, why]) => `- ${name} was left out: ${why}`),
      ...failed(failures)
    ].join('\n')
  },

  noteworthy: () => []
}
