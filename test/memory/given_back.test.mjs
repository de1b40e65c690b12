// After a burst a process returns to within a few megabytes of where it was: in resident memory, counted in a process that has
// the server alone, because connections cost memory at both of their ends.

import { once } from 'node:events'
import { connect } from 'node:net'
import test from 'ava'
import { startScript } from '../helpers/child.mjs'
import { until } from '../helpers/until.mjs'
import { dataFrame, hello } from '../helpers/wire_raw.mjs'

const MEGABYTE = 2 ** 20

const program = `
  import { readFileSync } from 'node:fs'
  import { ZerioServer } from 'zerio'
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, JSON.parse(process.argv[1]))
  let messages = 0
  server.onMessage = () => { messages++ }
  await server.start('server')
  const status = (name) => Number(new RegExp(name + ':\\\\s+(\\\\d+)').exec(readFileSync('/proc/self/status', 'latin1'))[1]) / 1024
  const fill = (id, length) => {
    const message = Buffer.alloc(length, 7)
    let taken = 0
    while (server.peer(id).send(message) === 0) taken++
    return taken
  }
  const actions = {
    look: () => {
      gc()
      return {
        residentMb: status('VmRSS'),
        externalMb: process.memoryUsage().external / 2 ** 20,
        pageFaults: process.resourceUsage().minorPageFault,
        peers: server.peerCount,
        messages
      }
    },
    fill,
    // In one turn: the socket takes no more from the first messages on, the ring is filled, and the connection is ended.
    fillAndTerminate: (id, firstLength, length) => {
      const peer = server.peer(id)
      while (peer.pendingBytes === 0) {
        peer.send(Buffer.alloc(firstLength))
        server.flush()
      }
      const before = status('VmRSS')
      fill(id, length)
      peer.terminate()
      return status('VmRSS') - before
    },
    pending: (id) => server.peer(id).pendingBytes,
    broadcast: (length) => server.broadcast(Buffer.alloc(length)),
    // From now on, in each turn, to all but this one.
    publishAlways: (id) => {
      const topic = server.topic('always')
      for (const peer of server.peers) if (peer.id !== id) topic.add(peer)
      const bytes = Buffer.alloc(20)
      const turn = () => {
        topic.publish(bytes)
        setImmediate(turn)
      }
      turn()
    }
  }
  process.on('message', ({ name, args }) => process.send({ result: actions[name](...args) }))
  process.send({ result: server.listeningPort })
`

/** A server in a process of its own, and how it is asked for what `program` can do. */
async function startServer(t, options = {}) {
  const { child, ended } = startScript(program, {
    flags: ['--expose-gc'],
    args: [JSON.stringify(options)],
    ipc: true
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    const { stderr } = await ended
    if (stderr !== '') throw new Error(stderr)
  })
  const answer = async () => (await once(child, 'message'))[0].result
  const port = await answer()
  const ask = (name, ...args) => {
    child.send({ name, args })
    return answer()
  }
  return { port, ask }
}

async function join(t, port, id) {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  socket.write(hello({ id, lengthMax: 2 ** 24 - 1 }))
  return socket
}

/** Asks again and again, because the engine gives memory back some time after it was used last. */
async function settles(ask, condition) {
  const end = Date.now() + 15_000
  for (;;) {
    const found = await ask('look')
    if (condition(found)) return found
    if (Date.now() > end) throw new Error(`waited in vain: ${condition}: ${JSON.stringify(found)}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('a peer that stopped reading gives its ring back when it ends', async (t) => {
  const { port, ask } = await startServer(t, { sendRingBytes: 64 * MEGABYTE, socketSendBytes: 65536 })
  // The first peer pays for code, too. What blocks the second one is so short that its ring is hardly filled by then.
  for (const [id, length] of [
    ['warm', 60_000],
    ['small', 4_000]
  ]) {
    ;(await join(t, port, id)).pause()
    await settles(ask, ({ peers }) => peers === 1)
    const before = await ask('look')
    t.true((await ask('fillAndTerminate', id, length, 65_536)) > 50)
    await settles(ask, ({ peers, residentMb }) => peers === 0 && residentMb < before.residentMb + 8)
  }
})

test('a peer that reads again gives its ring back and stays', async (t) => {
  const { port, ask } = await startServer(t, { sendRingBytes: 64 * MEGABYTE })
  const socket = (await join(t, port, 'slow')).pause()
  const before = await settles(ask, ({ peers }) => peers === 1)
  const taken = await ask('fill', 'slow', 65_536)
  const full = await ask('look')
  t.true(full.residentMb - before.residentMb > 50)
  let received = 0
  socket.on('data', (bytes) => {
    received += bytes.length
  })
  socket.resume()
  await until(() => received >= taken * 65_540)
  await settles(ask, ({ residentMb }) => residentMb < before.residentMb + 8)
  // The ring holds messages as before.
  t.true((await ask('fill', 'slow', 1_000)) > 60_000)
})

test('a ring is given back although a topic always has something to send', async (t) => {
  const { port, ask } = await startServer(t, { sendRingBytes: 64 * MEGABYTE })
  for (let i = 0; i < 200; i++) (await join(t, port, `peer ${i}`)).resume()
  const socket = (await join(t, port, 'slow')).pause()
  await settles(ask, ({ peers }) => peers === 201)
  await ask('publishAlways', 'slow')
  const before = await ask('look')
  await ask('fill', 'slow', 65_536)
  t.true((await ask('look')).residentMb - before.residentMb > 50)
  socket.resume()
  await settles(ask, ({ residentMb }) => residentMb < before.residentMb + 16)
})

test('200 peers that read again give back their rings, each filled a little, and stay', async (t) => {
  const { port, ask } = await startServer(t, { socketSendBytes: 16_384 })
  const sockets = await Promise.all(Array.from({ length: 200 }, (_, index) => join(t, port, `peer ${index}`)))
  for (const socket of sockets) socket.pause()
  const before = await settles(ask, ({ peers }) => peers === 200)
  // More than the sockets take.
  for (let round = 0; round < 100; round++) await ask('broadcast', 60_000)
  const full = await ask('look')
  t.true(full.residentMb - before.residentMb > 30, `filled: ${full.residentMb - before.residentMb} MB`)
  for (const socket of sockets) socket.resume()
  // Each ring may keep 16 KiB, and V8's heap has grown, too.
  await settles(ask, ({ residentMb }) => residentMb < before.residentMb + 16)
})

test('a ring that is filled again and again stays as it is meanwhile', async (t) => {
  const { port, ask } = await startServer(t, { sendRingBytes: 8 * MEGABYTE })
  ;(await join(t, port, 'busy')).resume()
  await settles(ask, ({ peers }) => peers === 1)
  await ask('fill', 'busy', 65_536)
  const before = await ask('look')
  const rounds = 30
  for (let round = 0; round < rounds; round++) {
    while ((await ask('pending', 'busy')) > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await ask('fill', 'busy', 65_536)
    await new Promise((resolve) => setTimeout(resolve, 40))
  }
  const faults = (await ask('look')).pageFaults - before.pageFaults
  // Given back each time they would be 2,000 a round. On a machine that stands still for a while some are.
  t.true(faults < (rounds * 2_000) / 4, `${faults} page faults`)
})

for (const ending of ['completed', 'cut off']) {
  test(`assembly buffers of long messages that come in parts and are ${ending}`, async (t) => {
    const length = 4 * MEGABYTE
    const { port, ask } = await startServer(t, { maxMessageLength: length })
    const before = await ask('look')
    const message = dataFrame(Buffer.alloc(length))
    const count = 24
    const sockets = await Promise.all(
      Array.from({ length: count }, (_, index) => join(t, port, `peer ${index}`))
    )
    for (const socket of sockets) socket.resume().write(message.subarray(0, length - 1000))
    await settles(ask, ({ residentMb }) => residentMb - before.residentMb > 80)
    for (const socket of sockets) {
      if (ending === 'completed') socket.write(message.subarray(length - 1000))
      else socket.destroy()
    }
    const { messages } = await settles(
      ask,
      (now) =>
        now.residentMb < before.residentMb + 12 &&
        (ending === 'completed' ? now.messages === count : now.peers === 0)
    )
    t.is(messages, ending === 'completed' ? count : 0)
  })
}

test('a peer that sends long messages all the time finds its assembly buffers as it left them', async (t) => {
  const length = 2 * MEGABYTE
  const { port, ask } = await startServer(t, { maxMessageLength: length })
  const socket = (await join(t, port, 'busy')).resume()
  const message = dataFrame(Buffer.alloc(length))
  const rounds = 40
  const send = async (round) => {
    socket.write(message)
    await settles(ask, ({ messages }) => messages > round)
  }
  for (let round = 0; round < 5; round++) await send(round)
  const before = await ask('look')
  for (let round = 5; round < rounds; round++) await send(round)
  const faults = (await ask('look')).pageFaults - before.pageFaults
  // Given back each time they would be 512 a message.
  t.true(faults < (rounds * 512) / 4, `${faults} page faults`)
})

test('a crowd gives back the slabs that it has needed', async (t) => {
  const { port, ask } = await startServer(t, { maxPeers: 2_000, maxHandshakes: 2_000 })
  const start = await ask('look')
  const crowd = async (others) => {
    const sockets = await Promise.all(
      Array.from({ length: 1_500 }, (_, index) => join(t, port, `peer ${index}`))
    )
    await settles(ask, ({ peers }) => peers === others + 1_500)
    await ask('broadcast', 700)
    const full = await ask('look')
    for (const socket of sockets) socket.destroy()
    await settles(ask, ({ peers }) => peers === others)
    // Pools are address space that JavaScript counts as external memory.
    t.true(full.externalMb > start.externalMb + 300)
    // V8 keeps pages of its heap for a while after thousands of objects were collected.
    await settles(
      ask,
      ({ residentMb, externalMb }) => externalMb < start.externalMb + 1 && residentMb < start.residentMb + 24
    )
  }
  await crowd(0)
  let heard = 0
  const first = await join(t, port, 'first')
  first.on('data', (bytes) => {
    heard += bytes.length
  })
  await settles(ask, ({ peers }) => peers === 1)
  await crowd(1)
  // A peer that stayed all the time is served as before.
  const before = heard
  t.is(await ask('broadcast', 100), 1)
  await until(() => heard === before + 104)
})
