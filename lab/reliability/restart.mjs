// A server dies under thousands of clients that connect again by themselves: all come back, not in one wave, and nothing is left over.
//
//   node lab/reliability/restart.mjs [--clients 5000] [--down-ms 2000] [--rounds 2]
//
// The server is a process of its own, killed in each round and started on the same port after the pause.

import { parseArgs } from 'node:util'
import { ZerioClient } from 'zerio'
import { startChild } from './lib/processes.mjs'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '5000' },
    'down-ms': { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '2' }
  }
})
const count = Number(values.clients)
const rounds = Number(values.rounds)
const BACK_MS_MAX = 20_000
const BIN_MS = 250
/** From the first tenth of the clients to the last tenth, at least. */
const SPREAD_MS_MIN = 500
const GROWTH_MB_MAX = 64

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const startServer = async (port) => {
  const server = startChild('restart_server.mjs', [port, count], { timeoutMs: 600_000 })
  return { ...server, port: (await server.line('port')).port }
}

/** When each client came back, in milliseconds since the server listened. */
const arrivals = []
let listening = 0
let connected = 0
let disconnects = 0
let givenUp = 0
let attempts = 0
let echoes = 0

function makeClient(port) {
  const client = new ZerioClient({ host: '127.0.0.1', port }, { reconnect: true })
  client.onMessage = () => echoes++
  client.on('connected', () => {
    connected++
    if (listening > 0) arrivals.push(performance.now() - listening)
  })
  client.on('disconnected', () => {
    connected--
    disconnects++
  })
  client.on('reconnecting', () => attempts++)
  client.on('reconnectFailed', () => givenUp++)
  return client
}

async function connectAll(port) {
  const clients = Array.from({ length: count }, () => makeClient(port))
  for (let i = 0; i < count; i += 200)
    await Promise.all(clients.slice(i, i + 200).map((client, j) => client.start(`client-${i + j}`)))
  return clients
}

async function waitUntil(condition, timeoutMs) {
  const end = performance.now() + timeoutMs
  while (!condition() && performance.now() < end) await pause(20)
  return condition()
}

/** Prints how many came when, and returns how long it took from the first tenth to the last. */
function spreadMs() {
  const bins = new Array(Math.floor(arrivals.at(-1) / BIN_MS) + 1).fill(0)
  for (const arrival of arrivals) bins[Math.floor(arrival / BIN_MS)]++
  const most = Math.max(...bins)
  for (const [bin, number] of bins.entries()) {
    const bar = '#'.repeat((60 * number) / most)
    console.log(`  ${String(bin * BIN_MS).padStart(6)} ms ${String(number).padStart(6)} ${bar}`)
  }
  const at = (part) => arrivals[Math.floor(part * arrivals.length)]
  return Math.round(at(0.9) - at(0.1))
}

let failed = 0
function judge(what, isRight, text) {
  if (!isRight) failed++
  console.log(`${isRight ? 'ok' : 'FAILED'}  ${what}: ${text}`)
}

const rssMb = () => Math.round(process.memoryUsage.rss() / 1e6)
let server = await startServer(0)
const { port } = server
const clients = await connectAll(port)
let rssAfterFirstMb = 0

for (let round = 1; round <= rounds; round++) {
  server.child.kill('SIGKILL')
  await server.ended
  await waitUntil(() => connected === 0, 10_000)
  await pause(Number(values['down-ms']))
  arrivals.length = attempts = 0
  const cpu = process.cpuUsage()
  server = await startServer(port)
  listening = performance.now()
  const allBack = await waitUntil(() => connected === count, BACK_MS_MAX)
  const tookMs = Math.round(performance.now() - listening)
  const { user, system } = process.cpuUsage(cpu)
  judge(
    `round ${round}`,
    allBack && givenUp === 0,
    `${connected} of ${count} were back after ${tookMs} ms, ${attempts} attempts, ${Math.round((user + system) / 1000)} ms of processor time`
  )
  const spread = spreadMs()
  judge(
    `round ${round}`,
    spread >= SPREAD_MS_MIN,
    `the middle eight tenths came within ${spread} ms, and not less than ${SPREAD_MS_MIN}`
  )
  echoes = 0
  for (const client of clients) client.send(Buffer.from('there?'))
  judge(
    `round ${round}`,
    await waitUntil(() => echoes === count, 20_000),
    `${echoes} of ${count} have their echo`
  )
  if (round === 1) rssAfterFirstMb = rssMb()
  server.tell('report')
  const { peers, accepted, rssMb: serverMb } = await server.line('peers')
  judge(
    `round ${round}`,
    peers === count,
    `the server has ${peers} peers, accepted ${accepted}, ${serverMb} MB; this process ${rssMb()} MB`
  )
}
judge(
  'memory',
  rssMb() - rssAfterFirstMb <= GROWTH_MB_MAX,
  `${rssAfterFirstMb} MB after the first round, ${rssMb()} MB after the last`
)
judge('ends', disconnects === rounds * count, `${disconnects} disconnected events`)
await Promise.all(clients.map((client) => client.stop()))
server.child.kill()
console.log(failed === 0 ? 'restart: ok' : `restart: ${failed} FAILED`)
process.exitCode = failed === 0 ? 0 : 1
