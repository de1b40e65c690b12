// Each program of examples/ runs as its comment says, and prints what it is for.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { ZerioClient } from 'zerio'
import { READING_BYTES, SEQUENCE } from '../../examples/telemetry/messages.mjs'
import { until } from '../helpers/until.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Starts a program of examples/ in the folder of the checkout. `stdout` grows; `ended` resolves with the exit code. */
function start(t, file, ...args) {
  const command = file.endsWith('.py') ? 'python3' : process.execPath
  const child = spawn(command, [`examples/${file}`, ...args], { cwd: root })
  t.teardown(() => child.kill('SIGKILL'))
  const program = { child, stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      program[name] += text
    })
  }
  program.ended = once(child, 'close').then(([code]) => code)
  program.prints = (pattern) =>
    until(() => pattern.exec(program.stdout), `${file} prints ${pattern}; it printed ${program.stdout}`)
  return program
}

/** Starts a server on a free port. */
async function serve(t, file, port = '0') {
  const server = start(t, file, port)
  const [, chosen] = await server.prints(/^listening on (\d+)$/m)
  server.port = chosen
  return server
}

async function endsWell(t, program) {
  t.is(await program.ended, 0, program.stderr)
  t.is(program.stderr, '')
}

async function stopsAtCtrlC(t, server) {
  server.child.kill('SIGINT')
  await endsWell(t, server)
}

test('market data: a subscriber has each trade of all symbols, without a gap', async (t) => {
  const feed = await serve(t, 'market_data/feed.mjs')
  const subscribers = ['one', 'two'].map((name) =>
    start(t, 'market_data/subscriber.mjs', feed.port, name, '20')
  )
  for (const subscriber of subscribers) {
    await endsWell(t, subscriber)
    for (const symbol of ['EURUSD', 'GBPUSD', 'USDJPY', 'USDCHF'])
      t.regex(subscriber.stdout, new RegExp(`^${symbol} (?:[12]?\\d\\.\\d{5}|no trade)$`, 'm'))
    t.regex(subscriber.stdout, /^20 trades, 0 missed: /m)
  }
  await feed.prints(/^one subscribes to trades\.EURUSD$/m)
  await stopsAtCtrlC(t, feed)
})

test('market data: a terminal shows the whole book, the best prices first', async (t) => {
  const feed = await serve(t, 'market_data/feed.mjs')
  const terminal = start(t, 'market_data/terminal.mjs', feed.port, 'ann', 'GBPUSD', '60')
  await endsWell(t, terminal)
  t.regex(terminal.stdout, /^GBPUSD {3}last (?:1\.\d{5}|NaN) {3}\w+ {3}60 updates$/m)
  const levels = [...terminal.stdout.matchAll(/^(\d\.\d{5}) +\d+000 {3}(\d\.\d{5}) +\d+000$/gm)]
  t.is(levels.length, 10, terminal.stdout)
  for (const [i, [, bid, ask]] of levels.entries()) {
    t.true(Number(bid) <= Number(ask))
    if (i > 0) t.true(Number(bid) <= Number(levels[i - 1][1]) && Number(ask) >= Number(levels[i - 1][2]))
  }
  await feed.prints(/^ann subscribes to book\.GBPUSD$/m)
  const other = start(t, 'market_data/terminal.mjs', feed.port, 'bob', 'XAUUSD')
  t.is(await other.ended, 1)
  t.regex(other.stderr, /^The server refuses the topic 'book\.XAUUSD'/)
  await stopsAtCtrlC(t, feed)
})

test('order gateway: each order is acknowledged once', async (t) => {
  const gateway = await serve(t, 'order_gateway/gateway.mjs')
  const trader = start(t, 'order_gateway/trader.mjs', gateway.port, 'ann', '5000')
  await endsWell(t, trader)
  t.regex(trader.stdout, /^4950 accepted, 50 bad quantity, 0 bad price, 0 known$/m)
  t.regex(trader.stdout, /^p50 [\d.]+ us, p99 [\d.]+ us$/m)
  await gateway.prints(/^ann left, 4950 accepted, 50 rejected: /m)
  await stopsAtCtrlC(t, gateway)
})

test('order gateway: a trader outlives its gateway, and loses no order', async (t) => {
  const first = await serve(t, 'order_gateway/gateway.mjs')
  const trader = start(t, 'order_gateway/trader.mjs', first.port, 'ann', '300000')
  await first.prints(/^ann is here/m)
  first.child.kill('SIGKILL')
  await trader.prints(/^disconnected after \d+ acknowledgements: /m)
  const second = await serve(t, 'order_gateway/gateway.mjs', first.port)
  await endsWell(t, trader)
  const [, ...counts] = /^(\d+) accepted, (\d+) bad quantity, (\d+) bad price, (\d+) known$/m.exec(
    trader.stdout
  )
  t.is(
    counts.reduce((sum, count) => sum + Number(count), 0),
    300_000
  )
  await stopsAtCtrlC(t, second)
})

test('sessions: a network that goes down loses no order and repeats none', async (t) => {
  const orders = start(t, 'sessions/orders.mjs', '20000')
  await endsWell(t, orders)
  t.is(orders.stdout.match(/^gateway: trader is back$/gm)?.length, 8, orders.stdout)
  t.regex(orders.stdout, /^8 outages, 20000 orders: each executed once, each execution received once$/m)
})

test('chat: presence, words, and a name that is taken', async (t) => {
  const server = await serve(t, 'chat/server.mjs')
  const ann = start(t, 'chat/client.mjs', 'ann', server.port)
  await ann.prints(/^here: ann$/m)
  const bob = start(t, 'chat/client.mjs', 'bob', server.port)
  await bob.prints(/^here: ann, bob$/m)
  await ann.prints(/^bob is here$/m)
  const second = start(t, 'chat/client.mjs', 'bob', server.port)
  t.is(await second.ended, 1)
  t.is(second.stderr, 'bob is taken\n')
  bob.child.stdin.write('good morning\n')
  await ann.prints(/^bob: good morning$/m)
  bob.child.stdin.end()
  await endsWell(t, bob)
  await ann.prints(/^bob left$/m)
  ann.child.stdin.end()
  await endsWell(t, ann)
  await stopsAtCtrlC(t, server)
})

test('telemetry: no reading is lost on the way', async (t) => {
  const collector = await serve(t, 'telemetry/collector.mjs')
  const devices = start(t, 'telemetry/devices.mjs', collector.port, '30', '10')
  await endsWell(t, devices)
  t.is(devices.stdout, '30 devices are connected\n300 readings, 0 dropped\n')
  await collector.prints(/^\d+ devices, 300 readings, 0 dropped$/m)
  // A line behind that one.
  await collector.prints(/^ {2}temperature: mean 20\.\d\d, 20\.\d\d to 2[01]\.\d\d$/m)
  await stopsAtCtrlC(t, collector)
})

test('telemetry: a device that connects again has dropped nothing', async (t) => {
  const collector = await serve(t, 'telemetry/collector.mjs')
  const device = new ZerioClient({ host: '127.0.0.1', port: Number(collector.port) })
  t.teardown(() => device.stop())
  const reading = new DataView(new ArrayBuffer(READING_BYTES))
  for (let sequence = 0; sequence < 10; sequence++) {
    if (sequence % 5 === 0) await device.start('device')
    reading.setUint32(SEQUENCE, sequence, true)
    device.send(new Uint8Array(reading.buffer))
    if (sequence % 5 === 4) await device.stop()
  }
  await collector.prints(/^\d+ devices, 10 readings, 0 dropped$/m)
  await stopsAtCtrlC(t, collector)
})

test('a device in Python', async (t) => {
  const collector = await serve(t, 'telemetry/collector.mjs')
  const device = start(t, 'python/device.py', collector.port)
  await endsWell(t, device)
  t.is(device.stdout, '10 readings sent to collector\n')
  await collector.prints(/^\d+ devices, 10 readings, 0 dropped$/m)
  await stopsAtCtrlC(t, collector)
})

test('requests: answers find their requests, and a failure its own', async (t) => {
  const server = await serve(t, 'request_response/server.mjs')
  const client = start(t, 'request_response/client.mjs', server.port)
  await endsWell(t, client)
  t.is(client.stdout, '100 squares\nrefused: seven is not a number\n')
  await stopsAtCtrlC(t, server)
})

test('the page of the examples has all of them, and no file that is not there', async (t) => {
  const page = await readFile(`${root}examples/README.md`, 'utf8')
  const folders = (await readdir(`${root}examples`, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
  t.true(folders.length >= 7)
  for (const folder of folders) t.true(page.includes(`[${folder}](${folder})`), folder)
  const files = [...page.matchAll(/(?:node|python3) (examples\/\S+\.(?:mjs|py))/g)]
  t.true(files.length >= folders.length)
  for (const [, file] of files) await t.notThrowsAsync(readFile(`${root}${file}`), file)
})
