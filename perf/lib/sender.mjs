// Keeps a zerio client sending as fast as the other side takes it, until that side closes the connection.
import { SendStatus } from 'zerio'
import { fail } from './program.mjs'
import { Signal } from './signal.mjs'

/** How many messages a sender sends before it lets the event loop run, unless it is held back before that. */
export const MESSAGES_PER_TURN = 16_384
const ROUNDS_PER_TURN = 64

/**
 * @param {import('zerio').ZerioClient} client connected
 * @param {string} strategy the client's wait strategy
 * @param {() => number} sendSome sends MESSAGES_PER_TURN messages or fewer, returns the last SendStatus
 */
export function sendUntilClosed(client, strategy, sendSome) {
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
  #sendSome

  constructor(sendSome) {
    this.#sendSome = sendSome
  }

  send() {
    const status = this.#sendSome()
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
