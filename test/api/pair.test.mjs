// createPair: two connected ends in one process, which end together and leave nothing behind.

import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { createPair, SendStatus, ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { runScript } from '../helpers/child.mjs'
import { ownEngine } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

async function pairOf(t, options) {
  const pair = await createPair(options)
  t.teardown(() => pair.map((end) => end.terminate()))
  return pair
}

/** All messages that arrive at an end, as texts with their channels. */
function textsAt(end) {
  const texts = []
  end.onMessage = (buffer, offset, length, channel) =>
    texts.push(`${channel}: ${buffer.toString('utf8', offset, offset + length)}`)
  return texts
}

const reasonsAt = (end) => {
  const reasons = []
  end.on('disconnected', ({ code, message, local }) => reasons.push([code, message, local]))
  return reasons
}

test('both ends send, write in place, and know what they handle', async (t) => {
  for (const [one, other] of [await pairOf(t), (await pairOf(t)).reverse()]) {
    const texts = textsAt(other)
    t.true(one.isOpen)
    t.is(one.send(Buffer.from('whole')), SendStatus.Sent)
    t.is(one.send(Buffer.from('with a channel'), 7), SendStatus.Sent)
    t.is(one.send(Buffer.from('a part of it'), 2, 4), SendStatus.Sent)
    t.is(one.send(Buffer.from('a part of it'), 2, 4, 127), SendStatus.Sent)
    const at = one.claim(2, 3)
    one.view.setUint16(at, 0x6f6b)
    t.is(one.buffer[at], 0x6f)
    t.is(one.commit(), SendStatus.Sent)
    one.claim(5)
    one.abort()
    t.true(one.pendingBytes > 0)
    one.flush()
    t.is(one.pendingBytes, 0)
    await until(() => texts.length === 5)
    t.deepEqual(texts, ['0: whole', '7: with a channel', '0: part', '127: part', '3: ok'])
    t.is(one.counters.messagesSent, 5)
    const seen = []
    other.onMessage = () => seen.push(other.messageNumber, other.receivedAt <= performance.now() + 1)
    one.send(Buffer.alloc(3))
    await until(() => seen.length > 0)
    t.deepEqual(seen, [6, true])
    other.onMessage = null
    t.is(other.onMessage, null)
    t.throws(() => (other.onMessage = 1), { code: 'ZERIO_BAD_ARGUMENT' })
    t.is(one.engine, other.engine)
  }
})

for (const [title, place] of [
  ['left', 0],
  ['right', 1]
]) {
  test(`what was accepted arrives before the end, and closing ends the other end: ${title}`, async (t) => {
    const pair = await pairOf(t)
    const [one, other] = [pair[place], pair[1 - place]]
    const texts = textsAt(other)
    const reasons = [reasonsAt(one), reasonsAt(other)]
    for (let i = 0; i < 100; i++) one.send(Buffer.from(String(i)))
    const closed = one.close(4000, 'enough')
    t.false(one.isOpen)
    t.is(one.send(Buffer.alloc(1)), SendStatus.Closed)
    await closed
    await until(() => reasons[1].length === 1)
    t.deepEqual(
      texts,
      [...Array(100).keys()].map((i) => `0: ${i}`)
    )
    t.deepEqual(reasons[0], [['ZERIO_APPLICATION', 'enough', true]])
    t.deepEqual(reasons[1], [['ZERIO_APPLICATION', 'enough', false]])
    t.false(other.isOpen)
    t.is(other.send(Buffer.alloc(1)), SendStatus.Closed)
    await other.close()
    await one.close()
    t.deepEqual([reasons[0].length, reasons[1].length], [1, 1])
  })
}

test('a full ring refuses, and drain says that there is room', async (t) => {
  const [left, right] = await pairOf(t, ownEngine({}))
  for (const [one, other] of [
    [left, right],
    [right, left]
  ]) {
    let received = 0
    other.onMessage = () => received++
    let drained = 0
    one.on('drain', () => drained++)
    let sent = 0
    while (one.send(Buffer.alloc(60_000)) === SendStatus.Sent) sent++
    await until(() => drained === 1 && received === sent)
    t.is(one.counters.backPressured, 1)
  }
})

test('terminate ends both ends at once', async (t) => {
  const pair = await pairOf(t)
  const reasons = pair.map(reasonsAt)
  pair[1].terminate()
  await until(() => reasons.every(({ length }) => length === 1))
  t.is(reasons[1][0][0], 'ZERIO_ABORTED')
  t.not(reasons[0][0][0], 'ZERIO_ABORTED')
})

test('with manual the program polls, and closing needs no poll', async (t) => {
  const [left, right] = await pairOf(t, ownEngine({ waitStrategy: 'manual' }))
  const texts = textsAt(left)
  right.send(Buffer.from('one'))
  await until(() => {
    left.poll()
    return texts.length === 1
  })
  await right.close()
  await left.close()
  t.false(left.isOpen)
})

/** What `createPair` makes inside: `after` runs once the server has started, before its client does. */
async function withServer(t, after) {
  const { start } = ZerioServer.prototype
  t.teardown(() => (ZerioServer.prototype.start = start))
  let made
  ZerioServer.prototype.start = async function (...args) {
    await start.apply(this, args)
    made = { server: this, port: this.listeningPort }
    await after(made)
  }
  const pair = await createPair().finally(() => (ZerioServer.prototype.start = start))
  t.teardown(() => pair.map((end) => end.terminate()))
  return { pair, ...made }
}

test.serial('no other program takes an end, and the port is closed', async (t) => {
  const codes = []
  const { pair, port } = await withServer(t, async ({ port }) => {
    for (const credential of ['', 'x'.repeat(32)]) {
      const other = new ZerioClient({ host: '127.0.0.1', port }, { credential })
      await other.start('pair').catch(({ code }) => codes.push(code))
    }
  })
  t.deepEqual(codes, ['ZERIO_UNAUTHORIZED', 'ZERIO_UNAUTHORIZED'])
  const late = new ZerioClient({ host: '127.0.0.1', port })
  await t.throwsAsync(late.start('pair'), { code: 'ECONNREFUSED' })
  const texts = textsAt(pair[0])
  pair[1].send(Buffer.from('there'))
  await until(() => texts.length === 1)
})

test.serial('an error of either side passes on, and nothing is left of the other', async (t) => {
  let server
  const failed = withServer(t, async (made) => {
    server = made.server
    server.stopListening()
    await until(() => server.state === 'idle')
  })
  await t.throwsAsync(failed, { instanceOf: ZerioError })
  t.is(server.state, 'idle')
})

test('options are those that both sides have', async (t) => {
  for (const wrong of [
    { credential: 'x' },
    { authenticate: () => true },
    { nothing: 1 },
    5,
    null,
    { lingerMs: -1 }
  ])
    await t.throwsAsync(createPair(wrong), { code: 'ZERIO_BAD_OPTION' })
})

test.serial('the defaults of the program do not hold for pairs', async (t) => {
  const before = [ZerioServer.defaults, ZerioClient.defaults]
  t.teardown(() => {
    ;[ZerioServer.defaults, ZerioClient.defaults] = before
  })
  for (const defaults of [{ reconnect: true }, { protocol: 'classic' }, { session: true }]) {
    ZerioClient.defaults = defaults
    const [left, right] = await createPair()
    const reasons = reasonsAt(left)
    right.terminate()
    await until(() => reasons.length === 1)
    t.false(left.isOpen)
  }
})

test('an end pauses, answers a ping and has its readings', async (t) => {
  const [left, right] = await pairOf(t)
  let received = 0
  right.onMessage = () => received++
  right.pause()
  t.true(right.isPaused)
  left.send(Buffer.alloc(3))
  const answer = left.ping()
  await pause(20)
  t.is(received, 0)
  right.resume()
  t.true((await answer) > 0)
  // Where receives are under way while it pauses, as on Windows, the PING is answered before.
  await until(() => received === 1)
  t.true(left.rttUs > 0)
  t.true(left.inspectText().includes('PING'))
  left.configure({ idleTimeoutMs: 60_000 })
})

test('await using closes', async (t) => {
  const [left, right] = await pairOf(t)
  const reasons = reasonsAt(right)
  await left[Symbol.asyncDispose]()
  await until(() => reasons.length === 1)
  t.is(reasons[0][0], 'ZERIO_NORMAL')
})

for (const [title, script] of [
  ['left is closed', 'await left.close()'],
  ['right is closed', 'await right.close()'],
  ['both are closed', 'left.close(); right.close()'],
  ['right is terminated', 'right.terminate()'],
  ['nothing refers to them', 'left.unref(); right.unref()']
]) {
  test(`a process ends when ${title}`, async (t) => {
    const { code, stdout, stderr } = await runScript(`
      import { createPair } from 'zerio'
      const [left, right] = await createPair()
      ${script}
      process.on('exit', () => console.log('over'))`)
    t.is(code, 0, stderr)
    t.is(stderr, '')
    t.is(stdout.trim(), 'over')
  })
}

test('a process goes on while one end keeps it', async (t) => {
  const { code, stdout } = await runScript(`
    import { createPair } from 'zerio'
    const [left, right] = await createPair()
    left.unref()
    setTimeout(() => { console.log('still here'); right.close() }, 50).unref()`)
  t.is(code, 0)
  t.is(stdout.trim(), 'still here')
})

test('an end that has ended takes nothing more, and still receives', async (t) => {
  const [left, right] = await pairOf(t, { allowHalfOpen: true })
  for (const [end, other] of [
    [left, right],
    [right, left]
  ]) {
    const texts = textsAt(other)
    end.send(Buffer.from('last'))
    end.end()
    t.false(end.isOpen)
    t.is(end.send(Buffer.alloc(1)), SendStatus.Closed)
    await until(() => texts.length === 1)
  }
})
