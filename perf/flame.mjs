// `npm run perf:flame`: flame graphs of zerio's sender and receiver, with 0x. One side runs under 0x while the other side
// runs as it is; then the other way round.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

const HELP = `Usage: npm run perf:flame -- [flags]

Draws where the sender and the receiver of a stream of 32-byte messages spend their time: perf/results/flame/sender/flamegraph.html
and perf/results/flame/receiver/flamegraph.html.

  --way <send|claim>   how messages are sent (default send)
  --seconds <n>        how long each is watched (default 5)
  --help               show this text
`
const WARMUP_MS = 200
const FOLDER = join(import.meta.dirname, 'results/flame')
const ZERO_X = createRequire(import.meta.url).resolve('0x/cmd.js')
const zerio = (script) => join(import.meta.dirname, 'zerio', script)

const { values } = parseArgs({
  options: {
    way: { type: 'string', default: 'send' },
    seconds: { type: 'string', default: '5' },
    help: { type: 'boolean', default: false }
  }
})
const seconds = Number(values.seconds)
if (values.help) {
  process.stdout.write(HELP)
} else if (!['send', 'claim'].includes(values.way) || !(seconds > 0 && seconds <= 60)) {
  process.stderr.write('perf:flame: --way takes send or claim, --seconds a number up to 60\n')
  process.exitCode = 2
} else {
  await watch('sender')
  await watch('receiver')
}

async function watch(watched) {
  const sinkArgs = [zerio('sink_server.mjs'), '--warmupMs', WARMUP_MS, '--durationMs', seconds * 1000]
  const sink = start(watched === 'receiver', watched, sinkArgs)
  try {
    const { port } = await sink.port
    const sender = start(watched === 'sender', watched, [zerio(`${values.way}_client.mjs`), '--port', port])
    await Promise.all([sink.ended, sender.ended])
  } finally {
    sink.kill()
  }
  const page = join(FOLDER, watched, 'flamegraph.html')
  if (!existsSync(page)) throw new Error(`0x made no flame graph of the ${watched}`)
  console.log(page)
}

// A program as it is, or under 0x, which passes its output on and ends after it has drawn.
function start(isWatched, name, args) {
  const command = isWatched ? [ZERO_X, '--output-dir', outputFolder(name), ...args] : args
  const child = spawn(process.execPath, command.map(String), { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (data) => {
    errors += data
  })
  const port = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{"port"')) resolve(JSON.parse(line))
    })
  })
  const ended = once(child, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`the ${name} ended with ${code}: ${errors.trim()}`)
  })
  return { port: Promise.race([port, ended]), ended, kill: () => child.kill() }
}

function outputFolder(name) {
  const folder = join(FOLDER, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  return folder
}
