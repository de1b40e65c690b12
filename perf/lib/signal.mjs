// A flag that a hot loop can read and that others can await, and the loop that polls zerio until it is set.

const POLLS_PER_TURN = 100_000

export class Signal {
  isSet = false
  #resolve
  #promise = new Promise((resolve) => {
    this.#resolve = resolve
  })

  set() {
    this.isSet = true
    this.#resolve()
  }

  /** Settles when set() has been called. */
  wait() {
    return this.#promise
  }
}

/**
 * Waits for the signal. With the wait strategy 'manual' that means polling in a tight loop, which lets the event
 * loop run now and then (one small object each time) so that timers, other sockets and the process's end work.
 * @param {{ poll(): number }} pollable
 * @param {string} strategy
 * @param {Signal} signal
 */
export function runUntil(pollable, strategy, signal) {
  if (strategy === 'manual') pollTurn(pollable, signal)
  return signal.wait()
}

function pollTurn(pollable, signal) {
  for (let polls = 0; polls < POLLS_PER_TURN && !signal.isSet; polls++) pollable.poll()
  if (!signal.isSet) setImmediate(pollTurn, pollable, signal)
}
