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
  valueBytes: VALUE_BYTES,
  touchMb: 0
})
const PAGE_BYTES = 4096
if (flags.touchMb > 0) touchNursery(flags.touchMb * 2 ** 20)
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

const pools = new Set()
server.on('clientConnected', (_id, peer) => {
  topic.add(peer)
  if (flags.touchMb > 0) touch(peer.buffer)
})
server.on('error', (error) => fail(`updates: ${error.message}`))

/** Has the system commit all memory of a pool. */
function touch(pool) {
  if (pools.has(pool)) return
  pools.add(pool)
  for (let at = 0; at < pool.length; at += PAGE_BYTES) pool[at] |= 0
}

/** Has the system commit both halves of V8's young generation, which otherwise fills until the first collection. */
function touchNursery(most) {
  let kept
  for (let bytes = 0; bytes < most; bytes += PAGE_BYTES) kept = new Array(PAGE_BYTES / 8).fill(bytes)
  return kept
}

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
