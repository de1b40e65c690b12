// Keeps a zerio client sending as fast as the other side takes it, until that side closes the connection.
import { EventEmitter } from 'node:events'
import { SendStatus, ZerioClient } from 'zerio'
import { format } from './message.mjs'
import { fail, readFlags, report } from './program.mjs'
import { Signal } from './signal.mjs'

/** How many messages a sender sends before it lets the event loop run, unless it is held back before that. */
export const MESSAGES_PER_TURN = 16_384
const ROUNDS_PER_TURN = 64

/** A sender's client, and what the command line says about it. */
export function makeSender() {
  const { port, strategy, backend, bytes, flushEach, session } = readFlags({
    port: 0,
    strategy: 'blocking',
    backend: 'auto',
    bytes: format.PAYLOAD_BYTES,
    flushEach: false,
    session: false
  })
  const client = new ZerioClient({ host: '127.0.0.1', port }, { waitStrategy: strategy, backend, session })
  return { client, strategy, bytes, flushEach }
}

/**
 * Connects, sends until the other side closes, and reports.
 * @param {import('zerio').ZerioClient} client
 * @param {string} strategy the client's wait strategy
 * @param {() => number} sendSome sends MESSAGES_PER_TURN messages or fewer, returns the last SendStatus
 */
export async function runSender(client, strategy, sendSome) {
  await client.start('sender')
  await sendUntilClosed(client, strategy, sendSome)
  await client.stop()
  report({ backPressured: client.counters.backPressured })
}

function sendUntilClosed(client, strategy, sendSome) {
  const sender = new Sender(sendSome)
  client.on('disconnected', () => sender.closed.set())
  if (strategy === 'manual') {
    client.on('drain', () => {
      sender.isHeldBack = false
    })
    sendAndPoll(client, sender)
  } else {
    client.on('drain', () => sendAndYield(sender))
    sendAndYield(sender)
  }
  return sender.closed.wait()
}

class Sender {
  closed = new Signal()
  isHeldBack = false
  #status = 0
  // V8 does not inline the listener of an event. A loop that is inlined into who calls it has less room to inline what it calls itself,
  // and then a sender that is often held back would be compiled to slower code than one that is not.
  #turns = new EventEmitter()

  constructor(sendSome) {
    this.#turns.on('turn', () => {
      this.#status = sendSome()
    })
  }

  send() {
    this.#turns.emit('turn')
    const status = this.#status
    this.isHeldBack = status === SendStatus.BackPressured
    if (status === SendStatus.Closed || status === SendStatus.NotConnected) this.closed.set()
    else if (status !== SendStatus.Sent && !this.isHeldBack) fail(`sender: the last SendStatus was ${status}`)
  }
}

function sendAndYield(sender) {
  if (sender.closed.isSet) return
  sender.send()
  if (!sender.isHeldBack) setImmediate(sendAndYield, sender)
}

function sendAndPoll(client, sender) {
  for (let i = 0; i < ROUNDS_PER_TURN && !sender.closed.isSet; i++) {
    if (!sender.isHeldBack) sender.send()
    client.poll()
  }
  if (!sender.closed.isSet) setImmediate(sendAndPoll, client, sender)
}
