// `zerio bench`: both sides measure, whatever the other side or the user does.
import { connect, createServer } from 'node:net'
import test from 'ava'
import { ZerioClient, ZerioServer } from 'zerio'
import { GcProbe } from 'zerio/gc'
import { MessageCount } from '../../dist/cli/message_count.js'
import { runCommand, startCommand } from '../helpers/command.mjs'
import { firstChildrenOf, untilGone } from '../helpers/proc.mjs'
import { connectRaw, farewell, hello, OPCODE } from '../helpers/wire_raw.mjs'

function checkResult(t, result, { messageBytes, seconds, wait }) {
  t.is(result.messageBytes, messageBytes)
  t.is(result.here.wait, wait)
  t.is(result.here.node, process.version)
  t.true(result.complete)
  t.deepEqual(
    result.phases.map(({ name }) => name),
    ['roundTrip', 'send', 'claim']
  )
  for (const { name, count, perSecond, megabytesPerSecond, roundTripUs, here, there } of result.phases) {
    t.true(count > 10, name)
    t.true(Math.abs(megabytesPerSecond - (perSecond * messageBytes) / 1e6) < 1e-6, name)
    // What is still on its way when the time is over is received, and counted, later.
    t.true(perSecond <= (count / seconds) * 1.5, name)
    for (const side of [here, there]) {
      t.is(side.operations, count, name)
      t.true(side.heapBytes >= 0 && side.collections.total >= 0, name)
    }
    if (name === 'roundTrip') {
      const { p50, p99, p999, max } = roundTripUs
      t.true(0 < p50 && p50 <= p99 && p99 <= p999 && p999 <= max && max <= 1e6 * seconds + 2e6)
    } else {
      t.is(roundTripUs, null)
    }
  }
}

for (const [wait, messageBytes, seconds] of [
  ['blocking', 32, 0.3],
  ['manual', 1, 0.3],
  ['hybrid', 65_536, 1],
  ['spin', 512, 0.3]
]) {
  test.serial(`the command measures on one machine: ${wait}, ${messageBytes} bytes`, async (t) => {
    const args = [
      'bench',
      '--json',
      '--seconds',
      String(seconds),
      '--wait',
      wait,
      '--size',
      String(messageBytes)
    ]
    const { code, stdout, stderr } = await runCommand(args)
    t.is(stderr, '')
    t.is(code, 0)
    const result = JSON.parse(stdout)
    checkResult(t, result, { messageBytes, seconds, wait })
    t.is(result.there.wait, wait)
  })
}

test.serial('messages are counted beyond 2^31, without garbage', (t) => {
  const messages = new MessageCount()
  messages.add(2 ** 31 - 2)
  for (let i = 0; i < 5; i++) messages.add()
  t.is(messages.value, 2 ** 31 + 3)
  const report = GcProbe.measure(() => messages.add(), {
    operations: 100_000,
    warmup: 50_000,
    samplingBytes: 0
  })
  t.is(messages.value, 2 ** 31 + 3 + 150_000)
  t.true(report.heapBytesPerOperation < 4, String(report.heapBytesPerOperation))
  messages.clear()
  t.is(messages.value, 0)
})

test.serial('the command prints a table for people', async (t) => {
  const { code, stdout } = await runCommand(['bench', '--seconds', '0.2'])
  t.is(code, 0)
  t.regex(stdout, /^32 bytes a message; here blocking, v\d+.*; 127\.0\.0\.1:\d+ blocking, v\d+/)
  t.regex(stdout, /^round trip {2}p50 [\d.,]+ us {2}p99 [\d.,]+ us {2}p99\.9 [\d.,]+ us {2}max [\d.,]+ us$/m)
  for (const name of ['round trips', 'send', 'claim'])
    t.regex(stdout, new RegExp(`^${name} +[\\d,]+ +[\\d.]+ `, 'm'))
  for (const line of stdout.split('\n')) t.true(line.length < 80, line)
})

test.serial(
  'a listening command serves two commands in turn, and refuses a client that sends junk',
  async (t) => {
    const listener = startCommand(['bench', '--listen', '127.0.0.1:0', '--wait', 'hybrid'])
    const [, port] = await listener.prints(/^listening on 127\.0\.0\.1:(\d+) \(hybrid\); /)
    for (const wait of ['blocking', 'hybrid']) {
      const args = ['bench', '--connect', `127.0.0.1:${port}`, '--seconds', '0.2', '--json', '--wait', wait]
      const { code, stdout, stderr } = await runCommand(args)
      t.is(stderr, '')
      t.is(code, 0)
      const result = JSON.parse(stdout)
      checkResult(t, result, { messageBytes: 32, seconds: 0.2, wait })
      t.is(result.there.wait, 'hybrid')
      t.is(result.address, `127.0.0.1:${port}`)
    }
    for (const junk of ['{', 'null', '7', '{"kind":"begin2"}', 'x'.repeat(5000)]) {
      const intruder = new ZerioClient({ host: '127.0.0.1', port: Number(port) })
      const left = new Promise((resolve) => {
        intruder.on('disconnected', resolve)
      })
      await intruder.start('intruder')
      intruder.send(Buffer.from(junk), 2)
      t.is((await left).closeCode, 4000, junk)
    }
    listener.child.kill('SIGINT')
    const { code, stderr } = await listener.ended
    // Windows has no signals: there kill() ends the listener.
    if (process.platform !== 'win32') t.is(code, 0)
    t.is(stderr, '')
  }
)

test.serial('text of the other side reaches no terminal as commands', async (t) => {
  const listener = startCommand(['bench', '--listen', '127.0.0.1:0'])
  const [, port] = await listener.prints(/^listening on 127\.0\.0\.1:(\d+)/)
  const client = await connectRaw(t, Number(port))
  client.write(hello({ id: 'hostile' }))
  client.write(farewell(OPCODE.close, 4000, 'bye\x1b[2J\nlistening on\u009b0m'))
  await listener.prints(/^hostile left: bye \[2J listening on 0m$/m)
  listener.child.kill('SIGKILL')

  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.stop())
  server.onMessage = (peer) => peer.close(4000, 'no\x1b[2J')
  await server.start('hostile')
  const { stderr } = await runCommand(['bench', '--connect', `127.0.0.1:${server.listeningPort}`])
  t.is(stderr, 'zerio bench: the connection ended: no [2J\n')
})

test.serial('SIGINT ends a measurement with what was measured, and both processes', async (t) => {
  const run = startCommand(['bench', '--seconds', '600', '--json'])
  const children = await firstChildrenOf(run.child)
  run.child.kill('SIGINT')
  const { code, stdout } = await run.ended
  t.is(code, 130)
  const result = JSON.parse(stdout)
  t.false(result.complete)
  t.deepEqual(result.phases, [])
  await untilGone(children)
  t.pass()
})

test.serial('the listening process does not outlive the command', async (t) => {
  const run = startCommand(['bench', '--seconds', '600'])
  const children = await firstChildrenOf(run.child)
  run.child.kill('SIGKILL')
  await run.ended
  await untilGone(children)
  t.pass()
})

test.serial('a listener that goes away is one line on stderr', async (t) => {
  const listener = startCommand(['bench', '--listen', '127.0.0.1:0', '--json'])
  const [, port] = await listener.prints(/"port":(\d+)/)
  const run = startCommand(['bench', '--connect', `127.0.0.1:${port}`, '--seconds', '600'])
  await listener.prints(/"came":/)
  listener.child.kill('SIGKILL')
  const { code, stderr } = await run.ended
  t.is(code, 1)
  t.regex(stderr, /^zerio bench: the connection ended: [^\n]+\n$/)
})

test.serial('the command ends in time on a connection slower than the benchmark', async (t) => {
  const listener = startCommand(['bench', '--listen', '127.0.0.1:0', '--json'])
  const [, port] = await listener.prints(/"port":(\d+)/)
  // Lets through 64 KiB every 2 ms at most.
  const proxy = createServer(async (socket) => {
    const server = connect({ host: '127.0.0.1', port: Number(port) })
    for (const end of [socket, server]) end.on('error', () => {})
    server.pipe(socket)
    for await (const bytes of socket) {
      server.write(bytes)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    server.end()
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const address = `127.0.0.1:${proxy.address().port}`
  const args = ['bench', '--connect', address, '--seconds', '0.3', '--size', '65536', '--json']
  const { code, stdout, stderr } = await runCommand(args)
  proxy.close()
  listener.child.kill('SIGKILL')
  t.is(stderr, '')
  t.is(code, 0)
  t.true(JSON.parse(stdout).complete)
})

test.serial('a round trip of more than 2^31 ns is reported as long as it was', async (t) => {
  const stallMs = 2600
  const listener = startCommand(['bench', '--listen', '127.0.0.1:0', '--json'])
  const [, port] = await listener.prints(/"port":(\d+)/)
  let begins = 0
  const proxy = createServer(async (socket) => {
    const server = connect({ host: '127.0.0.1', port: Number(port) })
    for (const end of [socket, server]) end.on('error', () => {})
    server.pipe(socket)
    for await (const bytes of socket) {
      // The second phase is the measured one after the warm-up; its first message is the next that comes.
      if (begins === 2) await new Promise((resolve) => setTimeout(resolve, stallMs))
      if (begins === 2 || bytes.includes('"begin"')) begins++
      server.write(bytes)
    }
    server.end()
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const args = ['bench', '--connect', `127.0.0.1:${proxy.address().port}`, '--seconds', '0.2', '--json']
  const { code, stdout } = await runCommand(args)
  proxy.close()
  listener.child.kill('SIGKILL')
  t.is(code, 0)
  const { count, roundTripUs } = JSON.parse(stdout).phases[0]
  t.is(count, 1)
  t.true(roundTripUs.max > (stallMs - 100) * 1000, JSON.stringify(roundTripUs))
  t.true(roundTripUs.p50 > 2e6, JSON.stringify(roundTripUs))
})

test.serial('a server of another kind is one line on stderr', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.stop())
  await server.start('other')
  const { code, stderr } = await runCommand(['bench', '--connect', `localhost:${server.listeningPort}`])
  t.is(code, 1)
  t.is(stderr, 'zerio bench: the other side does not answer as a zerio bench --listen does\n')
})

test.serial('a server that closes the connection ends the command at once', async (t) => {
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.stop())
  let closedAt = 0
  server.onMessage = (peer) => {
    closedAt = performance.now()
    peer.close(4000, 'no')
  }
  await server.start('closes')
  const { code, stderr } = await runCommand(['bench', '--connect', `localhost:${server.listeningPort}`])
  t.is(code, 1)
  t.is(stderr, 'zerio bench: the connection ended: no\n')
  t.true(performance.now() - closedAt < 2000)
})

test.serial('a missing listener and a port in use are one line on stderr each', async (t) => {
  const other = createServer()
  await new Promise((resolve) => {
    other.listen(0, '127.0.0.1', resolve)
  })
  const { port } = other.address()
  const taken = await runCommand(['bench', '--listen', `127.0.0.1:${port}`])
  t.is(taken.code, 1)
  t.regex(taken.stderr, /^zerio bench: .*EADDRINUSE[^\n]*\n$/)
  await new Promise((resolve) => {
    other.close(resolve)
  })
  const refused = await runCommand(['bench', '--connect', `127.0.0.1:${port}`])
  t.is(refused.code, 1)
  t.regex(refused.stderr, /^zerio bench: .*ECONNREFUSED[^\n]*\n$/)
})

for (const args of [
  ['--nonsense'],
  ['stray'],
  ['--size', '0'],
  ['--size', '65537'],
  ['--seconds', 'soon'],
  ['--wait', 'never'],
  ['--listen', 'host:port'],
  ['--listen', '65536'],
  ['--connect', '48654'],
  ['--connect', 'host'],
  ['--listen', '1', '--connect', 'host:1']
]) {
  test.serial(`a mistake is one line on stderr: ${args.join(' ')}`, async (t) => {
    const { code, stdout, stderr } = await runCommand(['bench', ...args])
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, /^zerio bench: [^\n]+\n$/)
  })
}

test.serial('--help explains every flag', async (t) => {
  const help = await runCommand(['bench', '--help'])
  t.is(help.code, 0)
  for (const flag of ['listen', 'connect', 'wait', 'size', 'seconds', 'json', 'help'])
    t.regex(help.stdout, new RegExp(`^  --${flag}[ ,]`, 'm'))
  t.deepEqual(await runCommand(['bench', '-h']), help)
})
