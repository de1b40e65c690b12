// Waiting for a condition: asks again and again, and says what it waited for when it gives up.

import { setTimeout as pause } from 'node:timers/promises'

/** Resolves when `condition()` is truthy, with its value. Rejects after `timeoutMs`. */
export async function until(condition, what = String(condition), timeoutMs = 20_000) {
  const end = Date.now() + timeoutMs
  for (;;) {
    const value = condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`)
    await pause(1)
  }
}

/** The same for objects that only work when they are polled. Other work of the process goes on. */
export async function pollUntil(pollable, condition, what = String(condition), timeoutMs = 20_000) {
  const end = Date.now() + timeoutMs
  for (;;) {
    pollable.poll()
    const value = condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`polled ${timeoutMs} ms in vain: ${what}`)
    await new Promise(setImmediate)
  }
}
