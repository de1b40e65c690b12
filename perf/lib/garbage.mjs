// What the two sides of a ping-pong allocate after its warm-up: bytes of garbage, collections, mallocs, and how often the event loop
// turned meanwhile, because Node.js allocates in each of its iterations.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collectionsIn } from './garbage_lines.mjs'
import { nativePrograms } from './native_programs.mjs'
import { runPair } from './processes.mjs'

// V8's memory reducer collects some eight seconds after a process has made its first garbage, whatever the program does then: an
// empty program with a timer sees it too. It would count against whoever runs at that moment.
const NODE_FLAGS = ['--expose-gc', '--no-memory-reducer']

/**
 * @typedef {object} SideGarbage
 * @property {number} bytes allocated on the V8 heap
 * @property {number} mallocs
 * @property {number} loops iterations of the event loop
 * @property {{ kind: string, pauseMs: number, freedBytes: number }[]} collections
 */

/**
 * Runs an echo program and a client once.
 * @param {string} echo path
 * @param {string} client path
 * @param {(string | number)[]} flags of both
 * @param {{ warmup: number, count: number }} sizes round trips before counting starts, and those that count
 * @returns {Promise<{ echo: SideGarbage, client: SideGarbage }>}
 */
export async function measureSides(echo, client, flags, { warmup, count }) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-perf-'))
  const side = (path, name) => {
    const file = join(folder, name)
    writeFileSync(file, '')
    return {
      script: path,
      flags: [...flags, '--warmup', warmup, '--count', count, '--meter'],
      environment: { LD_PRELOAD: nativePrograms.mallocCount, MALLOC_COUNT_FILE: file }
    }
  }
  try {
    const pair = await runPair(side(echo, 'echo'), side(client, 'client'), NODE_FLAGS)
    const garbageOf = ({ heapBytes, mallocs, loops }, lines) => {
      const collections = collectionsIn(lines)
      const freedBytes = collections.reduce((sum, collection) => sum + collection.freedBytes, 0)
      return { bytes: heapBytes + freedBytes, mallocs, loops, collections }
    }
    return {
      echo: garbageOf(pair.server, pair.serverLines),
      client: garbageOf(pair.client, pair.clientLines)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
