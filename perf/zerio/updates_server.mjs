// Sends numbered updates of keys (perf/lib/updates.mjs) to the peers of perf/c/subscribers.c, by a topic that keeps the latest values.
import { readClock, ZerioServer } from 'zerio'
import { fail, readFlags, report } from '../lib/program.mjs'
import { KEYS, keyOf, SCHEDULE_FLAGS, VALUE_BYTES } from '../lib/update_schedule.mjs'
import { serveUpdates } from '../lib/updates.mjs'

const flags = readFlags({
  ...SCHEDULE_FLAGS,
  backend: 'auto',
  ringBytes: 262_144,
  socketSendBytes: 0,
  valueBytes: VALUE_BYTES
})
const server = new ZerioServer(
  { host: '127.0.0.1', port: 0 },
  {
    backend: flags.backend,
    maxMessageLength: 1024,
    sendRingBytes: flags.ringBytes,
    socketSendBytes: flags.socketSendBytes,
    // The system would end a connection whose peer has read nothing for 45 s.
    userTimeoutMs: 0
  }
)
const topic = server.topic('updates', { slow: 'latest', keysMax: KEYS, valueBytesMax: flags.valueBytes })
const value = new Uint8Array(flags.valueBytes)
const sequenceOf = new Uint32Array(value.buffer, 0, 1)
const dueOf = new Float64Array(value.buffer, 8, 1)

server.on('clientConnected', (_id, peer) => topic.add(peer))
server.on('error', (error) => fail(`updates: ${error.message}`))

function sendTurn(first, end, dueNs) {
  dueOf[0] = dueNs
  for (let sequence = first; sequence < end; sequence++) {
    sequenceOf[0] = sequence
    topic.set(keyOf(sequence), value)
  }
}

await server.start('updates')
serveUpdates(flags, sendTurn, {
  clock: readClock,
  more: () => ({ conflated: topic.counters.conflated })
})
report({ port: server.listeningPort })
