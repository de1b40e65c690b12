// A program that overwrites the engine's words and events in a handler loses messages at most, and the thread goes on.
// lab/reliability/misuse.mjs does the same at random.

import test from 'ava'
import { ownEngine, startClient, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'

const PRODUCED = 4
const CONSUMED = 8
const GOES_ON = 3
const EVENTS = 1024 + 64 * 256 + 65536 * 4
const KIND_MESSAGE = 2
const KIND_CONNECTED = 3
const KIND_DISCONNECTED = 4

/** Runs `overwrite(memory, slot)` in the handler of one message, and checks that the next messages arrive. */
async function survives(t, overwrite) {
  const server = await startServer(t, ownEngine({}))
  const client = await startClient(t, server)
  const bystander = await startClient(t, server, 'bystander')
  let heard = 0
  server.onMessage = (_, buffer) => {
    if (heard++ === 0) overwrite(new DataView(buffer.buffer))
  }
  client.send(Buffer.alloc(10))
  await until(() => heard > 0)
  for (let i = 1; i <= 10; i++) {
    bystander.send(Buffer.alloc(10))
    await until(() => heard > i)
  }
  t.pass()
}

const cases = {
  'the count of events is 0': (memory) => memory.setInt32(PRODUCED, 0, true),
  'the count of events is huge': (memory) => memory.setInt32(PRODUCED, 2 ** 31 - 1, true),
  'the count of consumed events is below 0': (memory) => memory.setInt32(CONSUMED, -(2 ** 31), true),
  'the count of consumed events is huge': (memory) => memory.setInt32(CONSUMED, 2 ** 31 - 1, true)
}
for (const [name, overwrite] of Object.entries(cases)) {
  test(name, (t) => survives(t, overwrite))
}

test('a thread at rest sleeps again when the word for what goes on is not 0', async (t) => {
  const server = await startServer(t, ownEngine({}))
  await startClient(t, server)
  const peer = await until(() => server.peer('client'))
  const words = new Int32Array(peer.buffer.buffer, 0, 4)
  words[GOES_ON] = 3
  await until(() => words[GOES_ON] === 0)
  t.pass()
})

for (const count of [1, 70_000, 2 ** 31 - 1]) {
  test(`the thread goes on when the count of consumed events is ${count} between two batches`, async (t) => {
    const server = await startServer(t, ownEngine({}))
    const client = await startClient(t, server)
    let heard = 0
    let memory
    server.onMessage = (_, buffer) => {
      heard++
      memory = new DataView(buffer.buffer)
    }
    client.send(Buffer.alloc(10))
    await until(() => heard === 1)
    // A poll without events leaves the word as it is.
    await new Promise((resolve) => setTimeout(resolve, 30))
    memory.setInt32(CONSUMED, count, true)
    client.send(Buffer.alloc(10))
    await until(() => heard === 2)
    t.pass()
  })
}

for (const kind of [KIND_MESSAGE, KIND_CONNECTED, KIND_DISCONNECTED]) {
  test(`the thread goes on after events of kind ${kind} with random words`, (t) =>
    survives(t, (memory) => {
      memory.setInt32(PRODUCED, 6, true)
      for (let event = 1; event < 6; event++) {
        memory.setInt32(EVENTS + event * 32, kind, true)
        for (let word = 2; word < 8; word++)
          memory.setInt32(EVENTS + event * 32 + word * 4, -event * 1e8, true)
      }
    }))
}

test('a peer that is reported gone twice is removed once', async (t) => {
  const server = await startServer(t, ownEngine({}))
  await startClient(t, server, 'bystander')
  const client = await startClient(t, server)
  const gone = []
  server.on('clientDisconnected', (id) => gone.push(id))
  server.onMessage = (peer, buffer) => {
    const memory = new DataView(buffer.buffer)
    memory.setInt32(PRODUCED, 3, true)
    for (const event of [1, 2]) {
      const words = [KIND_DISCONNECTED, peer._ring.slot, 0, 0, 0, 1000, 0, 0]
      for (const [word, value] of words.entries()) {
        memory.setInt32(EVENTS + event * 32 + word * 4, value, true)
      }
    }
  }
  client.send(Buffer.alloc(10))
  await until(() => gone.length > 0)
  await until(() => server.peerCount === 1)
  t.deepEqual(gone, ['client'])
  t.not(server.peer('bystander'), undefined)
})
