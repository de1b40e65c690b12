// Asks a program over http at a steady pace, with one connection that stays open, and takes the time of each answer.
import { Agent, get } from 'node:http'
import { fail, readFlags, report } from '../lib/program.mjs'

const { port, intervalMs, requests, warmup } = readFlags({
  port: 0,
  intervalMs: 10,
  requests: 100,
  warmup: 20
})
const agent = new Agent({ keepAlive: true })
const timesUs = []

function ask() {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, agent }, (response) => response.resume().on('end', resolve)).on(
      'error',
      (error) => fail(`web client: ${error.message}`)
    )
  })
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const began = performance.now()
for (let i = 0; i < warmup + requests; i++) {
  const due = began + i * intervalMs
  const early = due - performance.now()
  if (early > 0) await pause(early)
  // A timer is late by itself; what it is late by is not the server's doing.
  const sent = performance.now()
  await ask()
  if (i >= warmup) timesUs.push((performance.now() - sent) * 1000)
}
timesUs.sort((left, right) => left - right)
const percentile = (part) => timesUs[Math.ceil(timesUs.length * part) - 1]
report({ p50Us: percentile(0.5), p99Us: percentile(0.99), maxUs: timesUs.at(-1) })
process.exit()
