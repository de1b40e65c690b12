// What can be measured: each program's name, how it is run once, and which of its numbers is compared.
import { join } from 'node:path'
import { measureGarbage } from '../zerio/garbage.mjs'
import { measurePeerKb, measureServerMb } from '../zerio/memory.mjs'
import { format } from './message.mjs'
import { nativePrograms } from './native_programs.mjs'
import { runPair, runProgram } from './processes.mjs'

const { PAYLOAD_BYTES } = format

export const STRATEGIES = ['manual', 'spin', 'hybrid', 'adaptive', 'blocking']

/** Each program runs without a session, and in one. */
const IN_SESSION = [
  ['', []],
  [' session', ['--session']]
]

const FULL = {
  spinning: { warmup: 20_000, count: 100_000 },
  sleeping: { warmup: 5_000, count: 20_000 },
  garbage: { warmup: 100_000, count: 1_000_000 },
  warmupMs: 500,
  durationMs: 1_500
}

const QUICK = {
  spinning: { warmup: 20_000, count: 50_000 },
  sleeping: { warmup: 5_000, count: 10_000 },
  garbage: { warmup: 20_000, count: 100_000 },
  warmupMs: 300,
  durationMs: 500
}

const net = (script) => join(import.meta.dirname, '../net', script)
const zerio = (script) => join(import.meta.dirname, '../zerio', script)

/**
 * @typedef {object} MeasuredProgram
 * @property {string} group programs of one group run in turn, repetition by repetition
 * @property {string} metric the number that is compared
 * @property {string} unit
 * @property {boolean} [tellsNoise] a C program: when its repetitions differ, it is the machine's doing
 * @property {boolean} [runsOnce] repeating it would show nothing new
 * @property {() => Promise<Record<string, number>>} run
 */

/**
 * @param {boolean} quick shorter runs
 * @returns {Record<string, MeasuredProgram>}
 */
export function measuredPrograms(quick) {
  const sizes = quick ? QUICK : FULL
  return { ...baselines(sizes), ...memoryPrograms(), ...latencyPrograms(sizes), ...throughputPrograms(sizes) }
}

function baselines(sizes) {
  const framed = (mode) => () => runProgram(nativePrograms.oneWay, [PAYLOAD_BYTES, sizes.durationMs, mode])
  const oneWay = (sender, sink) => ({ ...throughput(), run: () => runOneWay(net, sender, [], sizes, sink) })
  return {
    'c spin': {
      ...latency('spinning'),
      tellsNoise: true,
      run: () => runNativePingPong('spin', sizes.spinning)
    },
    'c epoll': {
      ...latency('sleeping'),
      tellsNoise: true,
      run: () => runNativePingPong('epoll', sizes.sleeping)
    },
    'net ping-pong': { ...latency('sleeping'), run: () => runPingPong(net, [], sizes.sleeping) },
    'c framed': { ...throughput(), tellsNoise: true, run: framed('nagle') },
    'c framed nodelay': { ...throughput(), tellsNoise: true, run: framed('nodelay') },
    'net batched': oneWay('batched_sender.mjs', 'batched_sink_server.mjs'),
    'net tuned': oneWay('tuned_sender.mjs'),
    'net in place': oneWay('in_place_sender.mjs'),
    'net single': oneWay('single_sender.mjs')
  }
}

function memoryPrograms() {
  return {
    'zerio memory': {
      group: 'memory',
      metric: 'serverMb',
      unit: 'MB',
      run: async () => ({ serverMb: await measureServerMb() })
    },
    'zerio peer memory': {
      group: 'memory',
      metric: 'peerKb',
      unit: 'KB',
      run: async () => ({ peerKb: await measurePeerKb() })
    }
  }
}

function latencyPrograms(sizes) {
  const programs = {}
  for (const strategy of STRATEGIES) {
    const flags = ['--strategy', strategy]
    const group = strategy === 'blocking' ? 'sleeping' : 'spinning'
    for (const [name, more] of IN_SESSION) {
      programs[`zerio ${strategy}${name}`] = {
        ...latency(group),
        run: () => runPingPong(zerio, [...flags, ...more], sizes[group])
      }
    }
    programs[`zerio ${strategy} garbage`] = {
      group: 'garbage',
      metric: 'collections',
      unit: 'collections',
      runsOnce: true,
      run: () => measureGarbage(strategy, sizes.garbage.warmup, sizes.garbage.count)
    }
  }
  return programs
}

function throughputPrograms(sizes) {
  const programs = {}
  for (const strategy of ['manual', 'blocking']) {
    const flags = ['--strategy', strategy]
    for (const way of ['send', 'claim']) {
      for (const [name, more] of IN_SESSION) {
        programs[`zerio ${strategy} ${way}${name}`] = {
          ...throughput(),
          run: () => runOneWay(zerio, `${way}_client.mjs`, [...flags, ...more], sizes)
        }
      }
    }
  }
  return programs
}

const latency = (group) => ({ group, metric: 'p50Us', unit: 'µs' })
const throughput = () => ({ group: 'throughput', metric: 'messagesPerSecond', unit: 'msg/s' })

function runNativePingPong(mode, { warmup, count }) {
  return runProgram(nativePrograms.pingPong, [mode, PAYLOAD_BYTES, warmup, count])
}

async function runPingPong(folder, flags, { warmup, count }) {
  const sizes = ['--warmup', warmup, '--count', count]
  const echoFlags = folder === net ? flags : [...flags, ...sizes]
  const pair = await runPair(
    { script: folder('echo_server.mjs'), flags: echoFlags },
    { script: folder('ping_pong_client.mjs'), flags: [...flags, ...sizes] }
  )
  return pair.client
}

async function runOneWay(folder, sender, flags, { warmupMs, durationMs }, sink = 'sink_server.mjs') {
  const pair = await runPair(
    {
      script: folder(sink),
      flags: [...flags, '--warmupMs', warmupMs, '--durationMs', durationMs]
    },
    { script: folder(sender), flags }
  )
  return pair.server
}
