// The same seeded program of sends and receives by four clients: Python, node:net and ZerioClient, classic and native. Both sides
// must see the same messages, whichever client sends.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { SendStatus, ZerioClient } from 'zerio'
import { connectClassic, frame, readFrames } from '../helpers/classic.mjs'
import { pattern, randomFrom, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const ANSWER_BYTES_MAX = 1000

/** How the server answers a message: 0 to 2 messages, which depend on it. */
function answersTo(message) {
  const turned = Buffer.from(message.subarray(0, ANSWER_BYTES_MAX)).reverse()
  return Array.from({ length: message.length % 3 }, (_, i) => Buffer.concat([Buffer.from([i]), turned]))
}

/** Steps ['send', message, channel] and ['receive', count], with at most 100 KB on their way in one direction. */
function makeProgram(seed, channels) {
  const random = randomFrom(seed)
  const sizes = [0, 1, 2, 3, 4, 5, 31, 32, 33, 255, 256, 1000, 4095, 4096, 20_000, 65_535, 65_536]
  const steps = []
  let due = 0
  let bytes = 0
  for (let i = 0; i < 300; i++) {
    const length = random(3) === 0 ? sizes[random(sizes.length)] : random(60)
    if (bytes + length > 100_000 || random(12) === 0) {
      steps.push(['receive', due])
      due = bytes = 0
    }
    const message = pattern(length, i)
    steps.push(['send', message, random(3) === 0 ? random(channels) : 0])
    due += answersTo(message).length
    bytes += length
  }
  steps.push(['receive', due])
  return steps
}

const asText = (message, channel) => `${channel}:${Buffer.from(message).toString('hex')}`

async function python(t, program) {
  const child = spawn('python3', ['test/helpers/wire_program.py'], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'pipe']
  })
  t.teardown(() => child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (text) => {
    stdout += text
  })
  child.stderr.on('data', (text) => {
    stderr += text
  })
  const ended = new Promise((resolve, reject) => {
    child.once('close', resolve)
    child.once('error', (error) => {
      const missing = error.code === 'ENOENT'
      reject(
        missing
          ? new Error('This test needs python3 in the PATH; install it (apt-get install python3).')
          : error
      )
    })
  })
  child.stdin.on('error', () => {})
  const steps = program.steps.map((step) =>
    step[0] === 'send' ? ['send', step[1].toString('hex'), step[2]] : step
  )
  child.stdin.end(JSON.stringify({ ...program, steps }))
  t.is(await ended, 0, stderr)
  const result = JSON.parse(stdout)
  return { ...result, received: result.received.map(([message, channel]) => `${channel}:${message}`) }
}

async function nodeNet(t, { port, id, steps }) {
  const socket = await connectClassic(t, port, id)
  const received = []
  let echo
  readFrames(socket, (payload) => {
    if (echo === undefined) echo = payload.toString()
    else received.push(asText(payload, 0))
  })
  let due = 0
  for (const [kind, what] of steps) {
    if (kind === 'send') socket.write(frame(what))
    else {
      due += what
      await until(() => received.length >= due, `${due} answers`)
    }
  }
  t.is(echo, id)
  socket.end()
  await once(socket, 'end')
  return { received, serverId: '' }
}

async function zerio(t, { port, id, classic, steps }) {
  const client = new ZerioClient({ host: '127.0.0.1', port }, { protocol: classic ? 'classic' : 'native' })
  t.teardown(() => client.stop())
  const received = []
  client.onMessage = (buffer, offset, length, channel) =>
    received.push(asText(buffer.subarray(offset, offset + length), channel))
  await client.start(id)
  let due = 0
  for (const [kind, what, channel] of steps) {
    if (kind === 'send') t.is(client.send(what, channel), SendStatus.Sent)
    else {
      due += what
      await until(() => received.length >= due, `${due} answers`)
    }
  }
  await client.stop()
  return { received, serverId: client.serverId }
}

const clients = [
  { name: 'ZerioClient, classic', run: zerio, classic: true },
  { name: 'node:net, classic', run: nodeNet, classic: true },
  { name: 'Python, classic', run: python, classic: true },
  { name: 'ZerioClient, native', run: zerio, classic: false },
  { name: 'Python, native', run: python, classic: false }
].filter(({ run }) => run !== python || process.platform !== 'win32')

for (const seed of [1, 2, 3]) {
  for (const channels of [1, 128]) {
    test(`four clients agree on program ${seed} on ${channels === 1 ? 'channel 0' : 'all channels'}`, async (t) => {
      const server = await startServer(t)
      const seen = new Map()
      const reasons = new Map()
      server.onMessage = (peer, buffer, offset, length, channel) => {
        const message = Buffer.from(buffer.subarray(offset, offset + length))
        seen.get(peer.id).push(asText(message, channel))
        for (const answer of answersTo(message)) t.is(peer.send(answer, channel), SendStatus.Sent)
      }
      server.on('clientConnected', (id) => seen.set(id, []))
      server.on('clientDisconnected', (id, reason) => reasons.set(id, reason.code))
      const steps = makeProgram(seed, channels)
      const sends = steps.filter(([kind]) => kind === 'send')
      const expectedThere = sends.map(([, message, channel]) => asText(message, channel))
      const expectedHere = sends.flatMap(([, message, channel]) =>
        answersTo(message).map((answer) => asText(answer, channel))
      )
      for (const { name, run, classic } of clients) {
        if (classic && channels > 1) continue
        const { received, serverId } = await run(t, { port: server.listeningPort, id: name, classic, steps })
        await until(() => reasons.has(name))
        // Compared as a whole first: a difference of megabytes would take minutes to print.
        t.true(seen.get(name).join() === expectedThere.join(), `${name}: what the server saw`)
        t.true(received.join() === expectedHere.join(), `${name}: what the client saw`)
        t.is(serverId, classic ? '' : 'server', name)
        const natively = run === python ? 'ZERIO_APPLICATION' : 'ZERIO_NORMAL'
        t.is(reasons.get(name), classic ? 'ZERIO_PEER_LEFT' : natively, name)
      }
    })
  }
}

test('the Python client says why it was refused', async (t) => {
  const server = await startServer(t, { authenticate: (_id, credential) => credential.toString() === 'key' })
  const run = (credential) =>
    python(t, { port: server.listeningPort, id: 'python', classic: false, credential, steps: [] })
  t.deepEqual((await run('wrong')).closed, [1018, ''])
  t.is((await run('key')).serverId, 'server')
})

test('the Python client answers heartbeats while it waits', async (t) => {
  const server = await startServer(t, { heartbeatMs: 10 })
  const steps = [['receive', 1]]
  const running = python(t, { port: server.listeningPort, id: 'python', classic: false, steps })
  const peer = await until(() => server.peer('python'))
  const before = peer.counters.bytesReceived
  await until(() => peer.counters.bytesReceived - before >= 10 * 12)
  t.is(peer.send(Buffer.from('enough')), SendStatus.Sent)
  t.deepEqual((await running).received, [asText('enough', 0)])
})

test('the Python client runs as a program, too', async (t) => {
  const server = await startServer(t)
  server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
  const reasons = []
  server.on('clientDisconnected', (_id, reason) => reasons.push(reason.code))
  const script = 'examples/clients/zerio_client.py'
  for (const protocol of ['native', 'classic']) {
    const child = spawn('python3', [script, String(server.listeningPort), 'python', protocol], { cwd: root })
    t.teardown(() => child.kill('SIGKILL'))
    let output = ''
    child.stdout.on('data', (text) => {
      output += text
    })
    child.stdin.write('oui\n')
    await until(() => output === 'oui\n')
    child.stdin.end('über\n')
    const [status] = await once(child, 'close')
    t.is(status, 0)
    t.is(output, 'oui\nüber\n')
  }
  await until(() => reasons.length === 2)
  t.deepEqual(reasons, ['ZERIO_NORMAL', 'ZERIO_PEER_LEFT'])
})
