// The receiving side of zerio's long messages: counts them, or sends each of them back.
import { ZerioServer } from 'zerio'
import { fail, LONG_FLAGS, readFlags, report } from '../lib/program.mjs'
import { Rate } from '../lib/rate.mjs'
import { runUntil, Signal } from '../lib/signal.mjs'

const flags = readFlags(LONG_FLAGS)
const rate = new Rate(flags.warmupMs, flags.durationMs)
const finished = new Signal()
let count = 0
let messagesPerSecond = 0

const server = new ZerioServer(
  { host: '127.0.0.1', port: 0 },
  { waitStrategy: flags.strategy, backend: flags.backend, maxMessageLength: flags.bytes }
)
server.onMessage = (peer, buffer, offset, length) => {
  if (flags.echo) {
    if (peer.send(buffer, offset, length) !== 0) fail('long: an echo was refused')
    return
  }
  if (buffer.view.getUint32(offset, true) !== count++) fail('long: messages were lost')
  if (finished.isSet) return
  messagesPerSecond = rate.update(count)
  if (messagesPerSecond > 0) finished.set()
}
server.on('clientDisconnected', () => finished.set())
await server.start('long')
report({ port: server.listeningPort })
await runUntil(server, flags.strategy, finished)
report({ messagesPerSecond })
await server.stop()
