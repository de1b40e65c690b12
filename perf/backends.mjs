// The backends beside each other, in turn: what docs/io_uring.md has in its tables.
//
//   node perf/backends.mjs --repetitions 7 --only one-way --variants epoll,io_uring
//
// A variant is a backend, and behind slashes what an io_uring shall do without: io_uring/multishot/incremental. The first one is what the
// others are divided by: in each repetition, and of these ratios the median is shown. What io_uring could save at most shows the
// fan-out of a C program without a library: "C send" and "C io_uring" beside each other.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { interleave } from './lib/interleave.mjs'
import { compileNativePrograms, nativePrograms } from './lib/native_programs.mjs'
import { Program, runPair } from './lib/processes.mjs'
import { median } from './lib/stats.mjs'

const { values: flags } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '7' },
    variants: { type: 'string', default: 'epoll,io_uring' },
    only: { type: 'string', default: '' }
  }
})
const C_WAYS = { 'C send': [], 'C io_uring': ['io_uring'] }
const zerio = (name) => new URL(`zerio/${name}.mjs`, import.meta.url).pathname

function environmentOf(variant) {
  const [backend, ...without] = variant.split('/')
  return { ZERIO_BACKEND: backend, ZERIO_IO_URING_WITHOUT: without.join(',') }
}

const side = (script, args, variant) => ({
  script: zerio(script),
  flags: args,
  environment: environmentOf(variant)
})

const oneWay = (strategy, way) => async (variant) => {
  const sizes = ['--warmupMs', 300, '--durationMs', 700]
  const common = ['--strategy', strategy]
  const sink = side('sink_server', [...common, ...sizes], variant)
  const { server } = await runPair(sink, side(`${way}_client`, common, variant))
  return server.messagesPerSecond / 1e6
}

const roundTrip = (strategy, count) => async (variant) => {
  const args = ['--strategy', strategy, '--warmup', count / 5, '--count', count]
  const { client } = await runPair(
    side('echo_server', args, variant),
    side('ping_pong_client', args, variant)
  )
  return client.p50Us
}

const fanOut = (peers) => async (variant) => {
  const sender = fanOutSender(variant, peers)
  const programs = [sender]
  try {
    const { port } = await sender.next()
    programs.push(new Program(nativePrograms.sink, [port, peers, 64]))
    return median((await sender.next()).cpuNs) / 1000
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

function fanOutSender(variant, peers) {
  const [turns, blocks] = [20, 12]
  const way = C_WAYS[variant]
  if (way !== undefined) return new Program(nativePrograms.fanOut, [64, peers, 1, turns, blocks, ...way])
  const args = ['--bytes', 64, '--peers', peers, '--perTurn', 1, '--turns', turns, '--blocks', blocks]
  return new Program(process.execPath, [zerio('fan_out_server'), ...args], environmentOf(variant))
}

/** The median from the time at which a message was due: one each 20 µs, over all peers in turn (perf/c/crowd.c). */
const crowd = (strategy, peers) => async (variant) => {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-'))
  const file = join(folder, 'latencies')
  const server = new Program(
    process.execPath,
    [zerio('crowd_server'), '--strategy', strategy],
    environmentOf(variant)
  )
  const programs = [server]
  try {
    const { port } = await server.next()
    const client = new Program(nativePrograms.crowd, [port, peers, peers, 32, 20_000, 5_000, 50_000, file])
    programs.push(client)
    await client.next()
    client.write('go')
    await client.next()
    return median([...new Float64Array(new Uint8Array(readFileSync(file)).buffer)]) / 1000
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
    rmSync(folder, { recursive: true })
  }
}

const measurements = {
  'one-way claim blocking, M msg/s': oneWay('blocking', 'claim'),
  'one-way claim manual, M msg/s': oneWay('manual', 'claim'),
  'one-way send blocking, M msg/s': oneWay('blocking', 'send'),
  'round trip manual, µs': roundTrip('manual', 50_000),
  'round trip spin, µs': roundTrip('spin', 50_000),
  'round trip blocking, µs': roundTrip('blocking', 10_000),
  'fan-out to 1000, µs of CPU for each delivery': fanOut(1000),
  'fan-out to 10, µs of CPU for each delivery': fanOut(10),
  'answers to 100 peers, spin, µs': crowd('spin', 100),
  'answers to 100 peers, blocking, µs': crowd('blocking', 100)
}

compileNativePrograms()
for (const [name, run] of Object.entries(measurements)) {
  if (!flags.only.split(',').some((part) => name.includes(part))) continue
  const ways = name.startsWith('fan-out') ? Object.keys(C_WAYS) : []
  const variants = [...flags.variants.split(','), ...ways]
  const programs = Object.fromEntries(variants.map((variant) => [variant, () => run(variant)]))
  const { results, failures } = await interleave(programs, Number(flags.repetitions), () => {})
  const base = results[variants[0]]
  console.log(name)
  for (const variant of variants) {
    const runs = results[variant]
    if (runs === undefined) {
      console.log(`  ${variant}: failed: ${failures[variant]}`)
      continue
    }
    const ratio = median(runs.map((value, i) => value / base[i]))
    const range = [Math.min(...runs), Math.max(...runs)].map((value) => value.toFixed(2)).join(' to ')
    console.log(`  ${variant}: ${median(runs).toFixed(2)} (${range}), ${ratio.toFixed(3)} ×`)
  }
}
