// One run of a server of updates and its subscribers (perf/c/subscribers.c), of which some read nothing and then read again: how late the
// updates are, what the server's memory does, and V8's collections. Throws what the subscribers found wrong.
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { nativePrograms } from './native_programs.mjs'
import { Program } from './processes.mjs'
import { median } from './stats.mjs'
import { UPDATE_BYTES } from './update_schedule.mjs'

/** A server that takes more is stopped. */
const MEMORY_MAX_MB = 4096
export const SAMPLE_MS = 250
const DEADLINE_MS = 60_000
const FINISH_SECONDS = 30

// V8's memory reducer collects some eight seconds after a process has made its first garbage, whatever the program does then.
export const NODE_FLAGS = ['--expose-gc', '--no-memory-reducer']

const residentMb = (pid) =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024

/** Samples the resident memory of a process while it waits, and stops waiting when there is too much. */
class Memory {
  /** @type {number[]} megabytes, one each SAMPLE_MS */
  samples = []
  #pid

  constructor(pid) {
    this.#pid = pid
  }

  get isOver() {
    return this.samples.at(-1) > MEMORY_MAX_MB
  }

  async during(ms) {
    for (const end = performance.now() + ms; performance.now() < end && !this.isOver; ) {
      await pause(Math.min(SAMPLE_MS, end - performance.now()))
      this.samples.push(residentMb(this.#pid))
    }
  }
}

/**
 * @typedef {object} Scenario
 * @property {number} readers
 * @property {number} slow
 * @property {'frames' | 'ws'} framing
 * @property {number} [updateBytes] of key and value
 * @property {number} warmupMs long enough for the slow ones to lag
 * @property {number} measuredMs
 * @property {number} readMs how long the server goes on when the slow ones read again; 0 stops it before
 *
 * @param {() => Program} startServer
 * @param {Scenario} scenario
 */
export async function runSlowConsumers(startServer, scenario) {
  const server = startServer()
  const programs = [server]
  try {
    const { port } = await server.next()
    const { readers, slow, framing, updateBytes = UPDATE_BYTES } = scenario
    const subscribers = new Program(nativePrograms.subscribers, [port, readers, slow, framing, updateBytes])
    programs.push(subscribers)
    await subscribers.next(DEADLINE_MS)
    return await measure(server, subscribers, scenario)
  } catch (error) {
    // When the server ends, its subscribers only notice it.
    if (server.end === null || server.end.message === error.message) throw error
    throw new Error(`${error.message}; ${server.end.message}`)
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

async function measure(server, subscribers, { readers, slow, warmupMs, measuredMs, readMs }) {
  const memory = new Memory(server.pid)
  server.write('go')
  await memory.during(warmupMs)
  const warm = memory.samples.length
  server.write('measure')
  subscribers.write('measure')
  const began = performance.now()
  await memory.during(measuredMs)
  const seconds = (performance.now() - began) / 1000
  subscribers.write('report')
  const { deliveries, windowP99Us, ...latencies } = await subscribers.next(DEADLINE_MS)
  const measured = memory.samples.slice(warm)
  const result = {
    ...latencies,
    windowP99Us: median(windowP99Us),
    updatesPerSecond: deliveries / readers / seconds,
    memoryMb: Math.max(...measured),
    memoryGrowthMb: measured.at(-1) - measured[0],
    memoryIsOver: memory.isOver
  }
  if (memory.isOver) return result
  const stop = async () => {
    server.write('stop')
    return await server.next(DEADLINE_MS)
  }
  const atRest = readMs === 0 ? await stop() : null
  if (slow > 0) subscribers.write('read')
  if (readMs > 0) await memory.during(readMs)
  const served = atRest ?? (await stop())
  subscribers.write(`finish ${served.updates} ${FINISH_SECONDS}`)
  const { jumped, again } = await subscribers.next(2 * FINISH_SECONDS * 1000)
  return { ...result, ...served, jumped, again, memoriesMb: memory.samples }
}
