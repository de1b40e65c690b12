// Peers share a server's time: who sends without end has a small part of each batch, and all others keep theirs.
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { ownEngine, startClient, startServer } from './helpers/link.mjs'
import { until } from './helpers/until.mjs'

const FLOODERS = ['flood 1', 'flood 2']
const ANSWERS = 300
// One receive of a peer is worth some 500 empty messages. Half an arena holds 131,072.
const MESSAGES_PER_POLL_MAX = 2500

for (const waitStrategy of ['blocking', 'spin']) {
  test(`two peers that flood leave the others their time: ${waitStrategy}`, async (t) => {
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
    const flood = new Worker(new URL('./helpers/flood.mjs', import.meta.url), {
      workerData: { ids: FLOODERS, port: server.listeningPort }
    })
    t.teardown(() => flood.terminate())
    await until(() => server.engine.counters.messagesReceived > 1_000_000)
    const { polls, messagesReceived } = server.engine.counters
    const answersBefore = answers
    await until(() => answers > answersBefore + ANSWERS)
    const after = server.engine.counters
    const perPoll = (after.messagesReceived - messagesReceived) / (after.polls - polls)
    t.true(perPoll < MESSAGES_PER_POLL_MAX, `${perPoll} messages a poll`)
    t.deepEqual(server.peers.map((peer) => peer.id).toSorted(), [...FLOODERS, 'good 1', 'good 2'].toSorted())
  })
}
