// Sees a message to another thread or process before it is sent, because whoever gets it may end this one without a word.
import { isMainThread, MessagePort } from 'node:worker_threads'

type Send = (this: unknown, ...args: unknown[]) => unknown

/**
 * Calls `listener` before each message of a worker, or of a process with a channel to its parent. No other thread ends because of a message.
 * The functions keep their names and their numbers of parameters.
 */
export function watchMessages(listener: () => void): void {
  if (!isMainThread) {
    MessagePort.prototype.postMessage = watched(MessagePort.prototype.postMessage as Send, listener)
  } else if (process.send !== undefined) {
    process.send = watched(process.send as Send, listener) as typeof process.send
  }
}

function watched(send: Send, listener: () => void): Send {
  const { name, length } = send
  return Object.defineProperties(
    function (this: unknown, ...args: unknown[]): unknown {
      listener()
      return Reflect.apply(send, this, args)
    },
    { name: { value: name, configurable: true }, length: { value: length, configurable: true } }
  )
}
