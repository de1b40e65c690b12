// One run of a crowd of connected peers (perf/c/crowd.c) against a server, with one message at a time on a schedule.
import { join } from 'node:path'
import { emptyHistogram, recordFile, summaryOf } from './latencies.mjs'
import { nativePrograms } from './native_programs.mjs'
import { cpuNs, residentBytes } from './process_costs.mjs'
import { Program } from './processes.mjs'
import { median } from './stats.mjs'

export const PAYLOAD_BYTES = 32
// One message every 100 µs, whatever the number of senders: the crowd is measured, not the load.
export const INTERVAL_NS = 100_000
const DEADLINE_MS = 120_000

/** A server of the crowd, written in JavaScript: `path` below perf/. */
export const crowdServer = (path, flags = []) =>
  new Program(process.execPath, [join(import.meta.dirname, '..', path), ...flags])

/**
 * @param {Program} server which the run ends
 * @param {number} peers
 * @param {number} active how many of them send
 * @param {{ warmup: number, messages: number }} sizes
 * @param {string} file for the latencies
 */
export async function runCrowd(server, peers, active, { warmup, messages }, file) {
  const programs = [server]
  try {
    const { port } = await server.next()
    const crowd = new Program(nativePrograms.crowd, [
      port,
      peers,
      active,
      PAYLOAD_BYTES,
      INTERVAL_NS,
      warmup,
      messages,
      file
    ])
    programs.push(crowd)
    await crowd.next(DEADLINE_MS)
    const before = cpuNs(server.pid)
    crowd.write('go')
    const { messages: sent } = await crowd.next(DEADLINE_MS)
    const cpuUs = (cpuNs(server.pid) - before) / sent / 1000
    const memoryMb = residentBytes(server.pid) / 2 ** 20
    const histogram = emptyHistogram()
    const quietP99Us = median(recordFile(histogram, file))
    return { ...summaryOf(histogram), quietP99Us, cpuUs, memoryMb }
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}
