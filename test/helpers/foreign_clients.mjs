// What a client in any language must do when its program is run: how it begins, converses, connects again and ends.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { ZerioServer } from 'zerio'
import { killAddresses } from './dead_addresses.mjs'
import { outputOf } from './output.mjs'
import { until } from './until.mjs'
import { dataFrame, farewell, hello, inHex, OPCODE, reject, startRawServer, welcome } from './wire_raw.mjs'

/** After a CLOSE or REJECT with one of these codes a client connects again. */
const PASSING = new Set([1001, 1010, 1014, 1016, 1017, 1019, 1023])
const HELLO_BYTES = hello({ id: 'client-1' }).length
const CONNECT_TIMEOUT_MS = 5000

/** Starts the program of a client. `closed` resolves with its exit status. */
function start(t, [command, ...args], port, id = 'client-1') {
  const child = spawn(command, [...args, String(port), id], { stdio: ['pipe', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  child.stdin.on('error', () => {})
  const output = outputOf(child)
  return { child, output, stdin: child.stdin, closed: once(child, 'close').then(([status]) => status) }
}

async function startServer(t, { port = 0, answer = (message) => message, ...options } = {}) {
  const server = new ZerioServer({ host: '127.0.0.1', port }, options)
  t.teardown(() => server.stop())
  server.onMessage = (peer, buffer, offset, length) =>
    peer.send(answer(Buffer.from(buffer.subarray(offset, offset + length))))
  await server.start('server')
  return server
}

/** The next connection of a raw server, once its HELLO is there. */
async function greeted(server) {
  const raw = await server.next()
  await raw.receives(HELLO_BYTES)
  return raw
}

/** Talks to a server, which then goes, comes back on the same port, and is talked to again. */
export async function converses(t, command) {
  const first = await startServer(t)
  const port = first.listeningPort
  const { stdin, output, closed } = start(t, command, port, 'élève')
  stdin.write('oui\n')
  await until(() => output.stdout === 'oui\n', 'an echo')
  await first.stop()
  const second = await startServer(t, { port })
  const reasons = []
  second.on('clientDisconnected', (id, reason) => reasons.push(`${id} ${reason.code}`))
  stdin.end('über\nfin\n')
  t.is(await closed, 0, output.stderr)
  t.is(output.stdout, 'oui\nüber\nfin\n')
  await until(() => reasons.length === 1)
  t.deepEqual(reasons, ['élève ZERIO_NORMAL'])
}

/** A vector with `start` answers its HELLO: the client sends nothing more, and ends with this code. */
export async function refusesAnswers(t, command, answers) {
  for (const { name, start: code, bytes } of answers.filter(({ start: code }) => code !== 0)) {
    const server = await startRawServer(t)
    const { output, closed } = start(t, command, server.port)
    const raw = await greeted(server)
    raw.write(bytes)
    const received = await raw.ends()
    raw.socket.end()
    t.is(await closed, 1, name)
    t.true(output.stderr.includes(`(${code})`), `${name}: ${output.stderr}`)
    t.is(received.length, HELLO_BYTES, name)
  }
}

/** A vector with `code` ends the connection: the client answers a violation with CLOSE, and connects again where that is of use. */
export async function endsAs(t, command, endings) {
  for (const { name, code, bytes } of endings) {
    const server = await startRawServer(t)
    const { child, stdin, output, closed } = start(t, command, server.port)
    const raw = await greeted(server)
    stdin.write('oui\n')
    raw.write(Buffer.concat([welcome(), bytes]))
    const received = await raw.ends()
    raw.socket.end()
    const violation = code === 1002 || code === 1003
    const expected = [dataFrame('oui'), ...(violation ? [farewell(OPCODE.close, code)] : [])]
    t.is(inHex(received.subarray(HELLO_BYTES)), inHex(Buffer.concat(expected)), name)
    if (PASSING.has(code)) {
      await greeted(server)
      child.kill('SIGKILL')
      continue
    }
    t.is(await closed, 1, name)
    t.true(output.stderr.includes(`(${code})`), `${name}: ${output.stderr}`)
  }
}

/** A server that drops the client again and again is not hurried, nor one that refuses it for now; a message makes the next pause short again. */
export async function pauses(t, command) {
  const server = await startRawServer(t)
  const { child, stdin, output } = start(t, command, server.port)
  stdin.write('oui\n')
  let droppedAt
  for (let i = 0; i < 2; i++) {
    const raw = await greeted(server)
    raw.write(welcome())
    await raw.receives(HELLO_BYTES + dataFrame('oui').length)
    droppedAt ??= performance.now()
    raw.socket.destroy()
  }
  for (const code of [1010, 1014, 1016]) {
    const raw = await greeted(server)
    raw.write(reject(code))
    raw.socket.end()
  }
  // Four pauses of at least 25, 50, 100 and 200 ms.
  t.true(performance.now() - droppedAt > 370, 'the pauses grow')
  const kind = await greeted(server)
  kind.write(Buffer.concat([welcome(), dataFrame('non')]))
  await until(() => output.stdout === 'non\n', 'an answer')
  stdin.write('oui\n')
  await kind.receives(HELLO_BYTES + 2 * dataFrame('oui').length)
  droppedAt = performance.now()
  kind.socket.destroy()
  await greeted(server)
  // It would be at least 800 ms if the pauses had grown on.
  t.true(performance.now() - droppedAt < 700, 'a message makes the pause short')
  child.kill('SIGKILL')
}

/** A client whose id another one takes does not take it back. */
export async function givesWay(t, command) {
  const server = await startServer(t, { duplicateIds: 'replace' })
  const first = start(t, command, server.listeningPort)
  first.stdin.write('oui\n')
  await until(() => first.output.stdout === 'oui\n', 'an echo')
  const second = start(t, command, server.listeningPort)
  second.stdin.write('non\n')
  await until(() => second.output.stdout === 'non\n', 'an echo')
  first.stdin.write('oui\n')
  t.is(await first.closed, 1)
  t.true(first.output.stderr.includes('(1015)'), first.output.stderr)
  second.stdin.end('fin\n')
  t.is(await second.closed, 0, second.output.stderr)
  t.is(second.output.stdout, 'non\nfin\n')
}

/** A long line is one message; one that is longer than the server accepts is not sent, and the program says so. */
export async function measures(t, command) {
  const roomy = await startServer(t, {
    maxMessageLength: 2 ** 20,
    answer: ({ length }) => Buffer.from(`${length}`)
  })
  const long = start(t, command, roomy.listeningPort)
  long.stdin.end(`${'x'.repeat(70_000)}\n${'x'.repeat(2 ** 20)}\nfin\n`)
  t.is(await long.closed, 0, long.output.stderr)
  t.is(long.output.stdout, `70000\n${2 ** 20}\n3\n`)

  let taken = 0
  const narrow = await startServer(t, { maxMessageLength: 1000 })
  narrow.on('clientConnected', () => taken++)
  const longer = start(t, command, narrow.listeningPort)
  longer.stdin.end(`${'x'.repeat(1000)}\n${'x'.repeat(1001)}\n`)
  t.is(await longer.closed, 1)
  t.is(longer.output.stdout, `${'x'.repeat(1000)}\n`)
  t.regex(longer.output.stderr, /the server accepts 1000 bytes, and the message has 1001/)
  t.is(taken, 1)
  t.is(narrow.counters.protocolErrors, 0)
}

/** The input of a client ends after its server has gone: nothing is left to do, and that is no failure. */
export async function endsAlone(t, command) {
  const server = await startRawServer(t)
  const { stdin, output, closed } = start(t, command, server.port)
  const raw = await greeted(server)
  raw.write(Buffer.concat([welcome(), dataFrame('non')]))
  stdin.write('oui\n')
  await until(() => output.stdout === 'non\n', 'an answer')
  raw.socket.resetAndDestroy()
  await until(() => raw.closed)
  stdin.end()
  t.is(await closed, 0, output.stderr)
  t.is(output.stderr, '')
}

/** A client gives up on an address that does not answer. */
export async function givesUp(t, command) {
  const { port, close } = await startRawServer(t)
  close()
  await killAddresses(t, ['127.0.0.1'], port)
  const startedAt = performance.now()
  const { closed } = start(t, command, port)
  t.is(await closed, 1)
  const took = performance.now() - startedAt
  t.true(took > CONNECT_TIMEOUT_MS - 100 && took < 3 * CONNECT_TIMEOUT_MS, `${took} ms`)
}
