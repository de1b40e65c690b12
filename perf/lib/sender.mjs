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
  const closed = new Signal()
  client.on('disconnected', () => closed.set())
  if (strategy === 'manual') {
    sendAndPoll(client, sendSome, closed)
  } else {
    const send = () => {
      if (closed.isSet) return
      const status = sendSome()
      if (status === SendStatus.Sent) setImmediate(send)
      else check(status, closed)
    }
    client.on('drain', send)
    send()
  }
  return closed.wait()
}

function sendAndPoll(client, sendSome, closed) {
  for (let i = 0; i < ROUNDS_PER_TURN && !closed.isSet; i++) {
    check(sendSome(), closed)
    client.poll()
  }
  if (!closed.isSet) setImmediate(sendAndPoll, client, sendSome, closed)
}

function check(status, closed) {
  if (status === SendStatus.Sent || status === SendStatus.BackPressured) return
  if (status === SendStatus.Closed || status === SendStatus.NotConnected) closed.set()
  else fail(`sender: the last SendStatus was ${status}`)
}
