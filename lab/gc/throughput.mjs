// What `zerio gc` costs a server: pairs of runs with and without it, and its collections and pauses beside those of --trace-gc.
//
// Processor time for each request is shown beside throughput: on a machine with other work it is the one that can be compared.
//
// node lab/gc/throughput.mjs [--pairs N] [--requests N] [--node 22] [--only ws] [--flags='--top 0'].
// fastify, autocannon and ws are installed into a temporary folder.
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { nodeOf } from '../host/nodes.mjs'

const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    flags: { type: 'string', default: '' },
    pairs: { type: 'string', default: '5' },
    requests: { type: 'string', default: '30000' },
    node: { type: 'string' }
  }
})
const node = values.node === undefined ? process.execPath : nodeOf(Number(values.node))
const requests = Number(values.requests)
const folder = mkdtempSync(join(tmpdir(), 'zerio-throughput-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** From the first connection on; printed before the report is made. */
const cpu = `
  let begin
  process.on('SIGTERM', () => { const { user, system } = process.cpuUsage(begin); console.log('cpu ' + (user + system)); process.exit() })
  setTimeout(() => { begin = process.cpuUsage() }, 500)
`
const programs = {
  fastify: {
    server: `
      const app = require('fastify')()
      app.get('/', async () => ({ hello: 'world', numbers: [1, 2, 3], nested: { a: 'b' } }))
      app.listen({ port: 0, host: '127.0.0.1' }).then((address) => console.log('listening ' + address))`,
    load: `
      // Its own duration is one of whole samples.
      const load = require('autocannon')({ url: process.argv[2], connections: 20, amount: ${requests} }, () =>
        console.log((${requests} * 1000) / (last - begin)))
      let begin
      let last
      load.on('response', () => { last = performance.now(); begin ??= last })`
  },
  ws: {
    server: `
      const server = new (require('ws').WebSocketServer)({ port: 0, host: '127.0.0.1' }, () => console.log('listening ws://127.0.0.1:' + server.address().port))
      server.on('connection', (socket) => socket.on('message', (data) => socket.send(JSON.stringify(JSON.parse(data)))))`,
    load: `
      const WebSocket = require('ws')
      const text = JSON.stringify({ bid: 1.5, ask: 2.5, name: 'EURUSD' })
      let answers = 0
      for (let i = 0; i < 20; i++) {
        const socket = new WebSocket(process.argv[2])
        socket.on('open', () => socket.send(text))
        socket.on('message', () => {
          if (++answers < ${requests}) return socket.send(text)
          console.log((${requests} * 1000) / performance.now())
          process.exit()
        })
      }`
  }
}

/** Resolves with the requests per second of one run, and what the server and the command printed. */
async function run(name, isMeasured) {
  const server = join(folder, `${name}-server.cjs`)
  const measured = isMeasured
    ? [command, 'gc', '--json', ...values.flags.split(' ').filter(Boolean), 'node']
    : []
  // Into a file: V8 prints a line in the middle of each collection, and to wake the reader of a pipe would make that longer.
  const output = join(folder, 'output')
  const file = openSync(output, 'w')
  const printed = () => readFileSync(output, 'utf8')
  const child = spawn(node, [...measured, '--trace-gc', server], {
    cwd: folder,
    stdio: ['ignore', file, file]
  })
  closeSync(file)
  let address
  while (address === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    address = /^listening (\S+)/m.exec(printed())?.[1]
    if (address === undefined && child.exitCode !== null) throw new Error(printed())
  }
  const load = spawn(process.execPath, [join(folder, `${name}-load.cjs`), address], { cwd: folder })
  let rate = ''
  load.stdout.setEncoding('utf8').on('data', (text) => {
    rate += text
  })
  await new Promise((resolve) => load.on('exit', resolve))
  const ended = new Promise((resolve) => child.on('close', resolve))
  child.kill('SIGTERM')
  await ended
  const cpuUs = Number(/^cpu (\d+)$/m.exec(printed())[1])
  return { rate: Number(rate), cpuUs, printed: printed() }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]
const install = spawnSync(
  'npm',
  ['install', '--no-audit', '--no-fund', 'fastify@5', 'autocannon@8', 'ws@8'],
  {
    cwd: folder,
    encoding: 'utf8'
  }
)
if (install.status !== 0) throw new Error(install.stderr)

for (const [name, { server, load }] of Object.entries(programs)) {
  if (values.only !== undefined && values.only !== name) continue
  writeFileSync(join(folder, `${name}-server.cjs`), cpu + server)
  writeFileSync(join(folder, `${name}-load.cjs`), load)
  const ratios = []
  const costs = []
  const lines = []
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    const order = pair % 2 === 0 ? [false, true] : [true, false]
    const results = {}
    for (const isMeasured of order) results[isMeasured] = await run(name, isMeasured)
    ratios.push(results.true.rate / results.false.rate)
    costs.push(results.true.cpuUs / results.false.cpuUs)
    lines.push(traceLine(results.true.printed))
  }
  const text = (list) =>
    `${median(list).toFixed(3)} (${Math.min(...list).toFixed(3)} to ${Math.max(...list).toFixed(3)})`
  console.log(
    `${name} with zerio gc: throughput times ${text(ratios)}, processor time per request times ${text(costs)}`
  )
  for (const line of lines) console.log(`  ${line}`)
}

/** The report beside what V8 printed before the samples were taken. */
function traceLine(printed) {
  const report = JSON.parse(printed.split('\n').find((line) => line.startsWith('{"elapsedMs"')))
  const [main] = report.parts
  const traced = printed.split('\n').filter((line) => line.startsWith(`[${main.pid}:`))
  const end = traced.findIndex((line) => line.includes('sampling profiler'))
  const before = end < 0 ? traced : traced.slice(0, end)
  const count = (kind) =>
    before.filter((line) => new RegExp(` ms: (Incremental )?${kind} `).test(line)).length
  const ms = before.reduce(
    (sum, line) => sum + Number(/ MB, (?:pooled: \S+ MB, )?([\d.]+) \//.exec(line)?.[1] ?? 0),
    0
  )
  const { collections, pauses } = report
  return (
    `minor ${collections.minor} (trace ${count('Scavenge')}), major ${collections.major} (${count('Mark-Compact')}), ` +
    `pauses ${pauses.totalMs.toFixed(0)} ms (${ms.toFixed(0)}), sampling in between: ${traced.filter((line) => line.includes('sampling')).length - (end < 0 ? 0 : 1)}`
  )
}
