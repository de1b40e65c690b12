// Kills the path, not the processes: two processes with a session send each other numbered messages through a proxy that resets, ends,
// stalls and cuts their connections at random bytes. Each message must arrive once and in order, and the steady part makes no garbage.
//
//   node lab/reliability/sessions.mjs [--messages 1000000] [--breaks 100] [--backend epoll] [--seed 1]
//
// After the breaks come half as many messages again over a path that holds: in that part neither process may collect garbage.

import { connect, createServer } from 'node:net'
import { parseArgs } from 'node:util'
import { startChild, troubleOf } from './lib/processes.mjs'

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    breaks: { type: 'string', default: '100' },
    backend: { type: 'string', default: 'auto' },
    seed: { type: 'string', default: String(Date.now() % 1e9) }
  }
})
const messages = Number(values.messages)
const breaksWanted = Number(values.breaks)
const TIMEOUT_MS = 900_000
/** From the moment a connection is there to its break: at most so many bytes of one direction. */
const bytesOfOne = Math.max(4096, Math.round((messages * 70) / breaksWanted))

let state = Number(values.seed)
/** mulberry32: a number from 0 to below `limit`. */
function below(limit) {
  state = (state + 0x6d2b79f5) | 0
  let bits = Math.imul(state ^ (state >>> 15), 1 | state)
  bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
  return ((bits ^ (bits >>> 14)) >>> 0) % limit
}

const breaks = { reset: 0, end: 0, stall: 0, cut: 0 }
const kinds = Object.keys(breaks)
const made = () => kinds.reduce((sum, kind) => sum + breaks[kind], 0)

/** Breaks a pair of sockets in one of the ways. A cut ends one of the two connections alone, in the middle of what it is given. */
function breakPair(kind, one, other) {
  breaks[kind]++
  if (kind === 'end') for (const socket of [one, other]) socket.end()
  else if (kind === 'cut') one.end()
  else for (const socket of [one, other]) socket.resetAndDestroy()
}

/** Passes bytes on from `from` to `to`, until a random number of them is reached and the proxy breaks the pair. */
function relay(from, to, breaker) {
  from.on('data', (bytes) => {
    const left = breaker.left
    breaker.left -= bytes.length
    if (left > 0 && breaker.left <= 0 && breaker.kind !== undefined) {
      to.write(bytes.subarray(0, left))
      from.pause()
      // A stalled connection is silent before it breaks.
      const waitMs = breaker.kind === 'stall' ? 5 + below(50) : 0
      setTimeout(() => breakPair(breaker.kind, from, to), waitMs)
      return
    }
    if (breaker.left > 0 || breaker.kind === undefined) if (!to.write(bytes)) from.pause()
  })
  to.on('drain', () => from.resume())
  from.on('end', () => to.end())
  from.on('error', () => {})
  from.on('close', () => to.destroy())
}

const env = { ZERIO_BACKEND: values.backend }
// A few bytes of garbage for each message of the steady part fill this. What the timers of a slow machine leave does not.
const flags = ['--expose-gc', '--min-semi-space-size=16', '--max-semi-space-size=16']
const server = startChild('sessions_child.mjs', ['server', 0, messages], {
  timeoutMs: TIMEOUT_MS,
  env,
  flags
})
const { port } = await server.line('port')
const proxy = createServer((client) => {
  const target = connect(port, '127.0.0.1')
  const breaker = {
    left: 1 + below(2 * bytesOfOne),
    kind: made() < breaksWanted ? kinds[below(kinds.length)] : undefined
  }
  relay(client, target, breaker)
  relay(target, client, breaker)
}).listen(0, '127.0.0.1')
await new Promise((resolve) => proxy.once('listening', resolve))
const clientArgs = ['client', proxy.address().port, messages]
const client = startChild('sessions_child.mjs', clientArgs, { timeoutMs: TIMEOUT_MS, env, flags })

const ends = await Promise.all([server.ended, client.ended])
proxy.close()
const faults = ends.map(troubleOf).filter(Boolean)
const [atServer, atClient] = ends.map(({ report }) => report ?? {})
const count = made()
if (count < breaksWanted) faults.push(`only ${count} of ${breaksWanted} breaks were made; send more messages`)
if (faults.length === 0 && atServer.resumed < breaksWanted / 2)
  faults.push(`only ${atServer.resumed} resumptions`)
const collections = [atServer, atClient].flatMap((report) => report.collections ?? [])
if (collections.length > 0) faults.push(`collections in the steady part: ${JSON.stringify(collections)}`)
console.log(
  `${atClient.backend}, seed ${values.seed}: ${atServer.received} and ${atClient.received} messages, ${count} breaks (${JSON.stringify(breaks)}), ${atServer.resumed} resumptions, ${atClient.seconds} s; in the steady part ${collections.length} collections`
)
for (const fault of faults) console.error(fault)
process.exitCode = faults.length > 0 ? 1 : 0
