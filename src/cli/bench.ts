// `zerio bench`: round trips, throughput and garbage between two processes, on one machine or two.
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { printableText } from '../errors.js'
import type { Address, WaitStrategy } from '../index.js'
import type { ChildMessage } from './bench_child.js'
import { BenchClient } from './bench_client.js'
import { messageBytesMax, phaseNames } from './bench_protocol.js'
import { type BenchResult, benchText } from './bench_report.js'
import { BenchServer } from './bench_server.js'
import { keepMemory } from './bench_settings.js'
import { integerOf, numberOf, readFlags, UsageError } from './flags.js'

const waitStrategies: readonly WaitStrategy[] = ['blocking', 'spin', 'hybrid', 'adaptive', 'manual']

const help = `Usage: zerio bench [flags]

Measures round trips (one message on its way at a time, answered at once), then messages per second one way with send and with
claim, and what each side's JavaScript allocates meanwhile. Without --listen and --connect: between two processes of this machine.

Between two machines, on the first and then on the second:
  zerio bench --listen 48654
  zerio bench --connect first-machine:48654

  --listen [HOST:]PORT  wait for benchmarks until Ctrl-C; without a host on all addresses; port 0 is any free one.
                        Whoever reaches the port can use it
  --connect HOST:PORT   measure against a listening zerio bench
  --wait STRATEGY       how this side waits for the network, and both on one machine: blocking (default; sleeps),
                        hybrid (spins 50 us, then sleeps), adaptive (learns when to spin),
                        spin or manual (never sleep; want a free processor for each side)
  --size N              bytes of a message, 1 to ${messageBytesMax} (default 32)
  --seconds N           of each of the three measurements, 0.1 to 3600 (default 3); each warms up for half of it, at most 1 s
  --json                write the result to stdout as JSON
  --help, -h            this text

Exit code: 0; 1 when something failed; 2 for a bad flag; 130 when Ctrl-C ended a measurement, with what was measured until then.
`

const options = {
  listen: { type: 'string' },
  connect: { type: 'string' },
  wait: { type: 'string' },
  size: { type: 'string' },
  seconds: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' }
} as const

interface BenchFlags {
  wait: WaitStrategy
  messageBytes: number
  seconds: number
  json: boolean
}

const warmupSecondsMax = 1
const interruptedCode = 130

/** Resolves with the exit code. */
export async function bench(args: string[]): Promise<number> {
  const values = readFlags(args, options)
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const flags: BenchFlags = {
    wait: waitOf(values.wait),
    messageBytes: integerOf('size', values.size, 32, 1, messageBytesMax),
    seconds: numberOf('seconds', values.seconds, 3, 0.1, 3600),
    json: values.json ?? false
  }
  if (values.listen !== undefined && values.connect !== undefined) {
    throw new UsageError('--listen and --connect are two different sides; give one of them')
  }
  const address = addressOf(values)
  keepMemory()
  const interrupted = onInterrupt()
  if (values.listen !== undefined) return listen(address, flags, interrupted)
  if (values.connect !== undefined) return measure(address, flags, interrupted)
  return benchHere(flags, interrupted)
}

function waitOf(text: string | undefined): WaitStrategy {
  const wait = waitStrategies.find((strategy) => strategy === (text ?? 'blocking'))
  if (wait) return wait
  throw new UsageError(`--wait must be one of ${waitStrategies.join(', ')}, not '${text}'`)
}

/** `port`, `host:port` or `[IPv6 address]:port`. */
function addressOf({ listen, connect }: { listen?: string; connect?: string }): Address {
  const text = listen ?? connect ?? '127.0.0.1:0'
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3] ?? Number.NaN)
  if (port <= 65_535 && (host !== undefined || connect === undefined)) return { host, port }
  throw new UsageError(
    connect === undefined
      ? `--listen takes [HOST:]PORT, not '${text}'`
      : `--connect takes HOST:PORT, not '${text}'`
  )
}

async function listen(
  address: Address,
  { wait, json }: BenchFlags,
  interrupted: Promise<void>
): Promise<number> {
  const say = (message: Record<string, unknown>, text: string) =>
    process.stdout.write(`${json ? JSON.stringify(message) : text}\n`)
  const server = new BenchServer(address, wait, {
    came: (peer) => say({ came: peer.remoteAddress }, `${peer.remoteAddress} came`),
    left: (peer, why) =>
      say({ left: peer.remoteAddress, why }, `${printableText(peer.id)} left: ${printableText(why)}`)
  })
  const { host, port } = await server.start()
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  say({ host, port, wait }, `listening on ${where} (${wait}); Ctrl-C ends it`)
  await interrupted
  await server.stop()
  return 0
}

async function benchHere(flags: BenchFlags, interrupted: Promise<void>): Promise<number> {
  const child = fork(join(__dirname, 'bench_child.js'), [flags.wait])
  try {
    return await measure({ host: '127.0.0.1', port: await portOf(child) }, flags, interrupted)
  } finally {
    if (child.connected) child.disconnect()
  }
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => reject(new Error('the listening process ended')))
    child.once('message', (message: ChildMessage) => {
      if ('port' in message) resolve(message.port)
      else reject(new Error(message.failure))
    })
  })
}

async function measure(
  { host = '127.0.0.1', port }: Address,
  flags: BenchFlags,
  interrupted: Promise<void>
): Promise<number> {
  const { wait, messageBytes, seconds } = flags
  const client = new BenchClient({ host, port, wait, messageBytes })
  const result: BenchResult = {
    address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    messageBytes,
    seconds,
    here: { wait, node: process.version },
    there: client.there,
    phases: [],
    complete: false
  }
  const course = async () => {
    await client.start()
    for (const name of phaseNames) {
      progress(`${name} ...`)
      await client.run(name, Math.min(warmupSecondsMax, seconds / 2))
      result.phases.push(await client.run(name, seconds))
    }
    result.complete = true
  }
  try {
    // An interrupted phase fails when the client stops; its result is not awaited any more.
    const running = course()
    running.catch(() => {})
    await Promise.race([running, interrupted])
  } finally {
    progress('')
    result.there = client.there
    await client.stop()
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else if (result.phases.length > 0) process.stdout.write(`${benchText(result)}\n`)
  return result.complete ? 0 : interruptedCode
}

/** On a terminal only, one line that is written over. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
function onInterrupt(): Promise<void> {
  return new Promise((resolve) => {
    let happened = false
    const interrupt = () => {
      if (happened) process.exit(interruptedCode)
      happened = true
      resolve()
    }
    process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  })
}
