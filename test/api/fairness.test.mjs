// Peers share a server's time: a peer that sends without end gets a small part of each batch, and all others keep theirs.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { ownEngine, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { hello } from '../helpers/wire_raw.mjs'

const FLOODERS = ['flood 1', 'flood 2']
const ANSWERS = 300
// One receive of a peer is worth some 250 empty messages, or twice as many after small ones that are none. Half an arena holds 131,072.
const MESSAGES_PER_POLL_MAX = 2500

for (const waitStrategy of ['blocking', 'spin']) {
  test(`two peers that flood do not delay the others: ${waitStrategy}`, async (t) => {
    const options = ownEngine({ waitStrategy })
    const server = await startServer(t, options)
    server.onMessage = (peer, buffer, offset, length) => {
      if (length > 0) peer.send(buffer, offset, length)
    }
    const clients = await Promise.all(
      ['good 1', 'good 2'].map((id) => startClient(t, server, id, ownEngine({ waitStrategy: 'blocking' })))
    )
    let answers = 0
    for (const client of clients) {
      client.onMessage = () => {
        answers++
        client.send(Buffer.from('again'))
      }
      client.send(Buffer.from('first'))
    }
    const flood = new Worker(new URL('../helpers/flood.mjs', import.meta.url), {
      workerData: { ids: FLOODERS, port: server.listeningPort }
    })
    t.teardown(() => flood.terminate())
    await until(() => server.engine.counters.messagesReceived > 1_000_000, 'the flood', 120_000)
    const { polls, messagesReceived } = server.engine.counters
    const answersBefore = answers
    await until(() => answers > answersBefore + ANSWERS)
    const after = server.engine.counters
    const perPoll = (after.messagesReceived - messagesReceived) / (after.polls - polls)
    t.true(perPoll < MESSAGES_PER_POLL_MAX, `${perPoll} messages a poll`)
    t.deepEqual(server.peers.map((peer) => peer.id).toSorted(), [...FLOODERS, 'good 1', 'good 2'].toSorted())
  })
}

test('a peer that has a small message in each turn does not keep the others waiting', async (t) => {
  const server = await startServer(t, ownEngine({ waitStrategy: 'blocking' }))
  server.onMessage = (peer, buffer, offset, length) => {
    peer.send(buffer, offset, length)
    server.flush()
    // Longer than the other side needs for an answer: when this turn ends, the next message is there.
    for (const end = performance.now() + 0.05; performance.now() < end; );
  }
  const busy = new Worker(new URL('../helpers/small_talk.mjs', import.meta.url), {
    workerData: { id: 'busy', port: server.listeningPort, underWay: 16 }
  })
  t.teardown(() => busy.terminate())
  await until(() => server.engine.counters.messagesReceived > 10_000, 'the flood', 120_000)
  const client = await startClient(t, server, 'other', ownEngine({ waitStrategy: 'blocking' }))
  for (let answers = 0; answers < 20; answers++) {
    // Meanwhile the busy peer is the only one that has something.
    await pause(20)
    const before = server.engine.counters.polls
    const answered = once(client, 'message')
    client.send(Buffer.from('asked'))
    await answered
    const polls = server.engine.counters.polls - before
    t.true(polls < 100, `${polls} polls for an answer`)
  }
})

test('two newcomers that flood as soon as they are peers do not delay the others', async (t) => {
  const server = await startServer(t, ownEngine({ waitStrategy: 'blocking' }))
  const client = await startClient(t, server, 'good', ownEngine({ waitStrategy: 'blocking' }))
  let flooding = 0
  let poll = 0
  let pollMessages = 0
  let most = 0
  server.onMessage = (peer, _buffer, _offset, length) => {
    if (length > 0) {
      // So newcomers have waited for long, and a poll receives more than once from them.
      for (const end = performance.now() + 5; performance.now() < end; );
      peer.send(Buffer.from('again'))
      return
    }
    flooding++
    const { polls } = server.engine.counters
    pollMessages = polls === poll ? pollMessages + 1 : 1
    poll = polls
    most = Math.max(most, pollMessages)
  }
  client.onMessage = () => client.send(Buffer.from('again'))
  client.send(Buffer.from('first'))
  const flood = new Worker(new URL('../helpers/flood.mjs', import.meta.url), {
    workerData: { ids: FLOODERS, port: server.listeningPort }
  })
  t.teardown(() => flood.terminate())
  await until(() => flooding > 10_000)
  t.true(most < MESSAGES_PER_POLL_MAX, `${most} messages a poll`)
})

/** A thread with raw sockets: on a message it connects and sends HELLO, and it reports how each connection went. */
const crowd = (port, count, spoken) =>
  new Worker(
    `
    const { connect } = require('node:net')
    const { parentPort, workerData } = require('node:worker_threads')
    const { port, count, hellos, spoken } = workerData
    const outcomes = { greeted: 0, ended: 0 }
    const tell = () => parentPort.postMessage({ ...outcomes })
    parentPort.once('message', () => {
      for (let i = 0; i < count; i++) {
        const socket = connect(port, '127.0.0.1', () => socket.write(hellos[i], () => Atomics.add(spoken, 0, 1)))
        socket.once('data', () => { outcomes.greeted++; tell() })
        socket.once('close', () => { outcomes.ended++; tell() })
        socket.on('error', () => {})
      }
    })
    parentPort.postMessage('ready')
    `,
    {
      eval: true,
      workerData: {
        port,
        count,
        spoken,
        hellos: Array.from({ length: count }, (_, i) => hello({ id: `p${i}` }))
      }
    }
  )

/** Lets a crowd connect and send HELLO while this thread does nothing else. Returns counts that go on changing. */
async function crowdMeanwhile(t, server, count) {
  const spoken = new Int32Array(new SharedArrayBuffer(4))
  const worker = crowd(server.listeningPort, count, spoken)
  t.teardown(() => worker.terminate())
  await once(worker, 'message')
  const outcomes = { greeted: 0, ended: 0 }
  worker.on('message', (latest) => Object.assign(outcomes, latest))
  worker.postMessage('go')
  const began = performance.now()
  while (Atomics.load(spoken, 0) < count && performance.now() < began + 10_000);
  t.is(spoken[0], count)
  // At a tick of the clock a kernel takes them for an io_uring.
  for (const end = performance.now() + 100; performance.now() < end; );
  return outcomes
}

test('a crowd that connects during a long handler is accepted, however few handshakes may be open', async (t) => {
  const server = await startServer(t, ownEngine({ maxHandshakes: 8 }))
  const COUNT = 100
  const outcomes = await crowdMeanwhile(t, server, COUNT)
  await until(() => outcomes.greeted + outcomes.ended >= COUNT)
  t.deepEqual(outcomes, { greeted: COUNT, ended: 0 })
  t.is(server.counters.refused, 0)
})

test('a server that stops closes new connections without delay', async (t) => {
  const server = await startServer(t, ownEngine({ waitStrategy: 'blocking' }))
  const outcomes = await crowdMeanwhile(t, server, 5)
  await server.stop()
  await until(() => outcomes.ended === 5)
  t.is(outcomes.greeted, 0)
})
