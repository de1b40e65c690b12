// Counts what a long ping-pong allocates on both sides after its warm-up: garbage collections (lines of V8's
// --trace-gc), bytes of garbage and mallocs per message. Run by itself, it does so for every wait strategy.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileNativePrograms, nativePrograms } from '../lib/native_programs.mjs'
import { runPair } from '../lib/processes.mjs'

const here = (script) => join(import.meta.dirname, script)
// Node's sources call both kinds of collection of the young generation a scavenge or a mark-sweep.
// V8's memory reducer collects some eight seconds after a process has made its first garbage, whatever the program does then: an
// empty program with a timer sees it too. It would count against the program that runs at that moment.
export const NODE_FLAGS = ['--expose-gc', '--no-memory-reducer']
const COLLECTION = /\bms: (Scavenge|Minor|Mark-)/

// Node.js 20 to 24 make an object of 56 bytes in each iteration of the event loop, and Node-API a handle scope (one malloc, freed at
// once) in each that serves the engine. V8 collects its young generation each 0.8 MB or later.
const LOOP_BYTES = Number(process.versions.node.split('.')[0]) < 26 ? 56 : 0
const COLLECTION_BYTES = 800_000

/**
 * @param {string} strategy
 * @param {number} warmup round trips before counting starts
 * @param {number} count round trips that count
 */
export async function measureGarbage(strategy, warmup, count) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-perf-'))
  const side = (script) => {
    const file = join(folder, script)
    writeFileSync(file, '')
    return {
      script: here(script),
      flags: ['--strategy', strategy, '--warmup', warmup, '--count', count, '--meter'],
      environment: { LD_PRELOAD: nativePrograms.mallocCount, MALLOC_COUNT_FILE: file }
    }
  }
  try {
    const pair = await runPair(side('echo_server.mjs'), side('ping_pong_client.mjs'), NODE_FLAGS)
    const collections = (lines) => lines.filter((line) => COLLECTION.test(line)).length
    const made = collections(pair.serverLines) + collections(pair.clientLines)
    const loops = pair.server.loops + pair.client.loops
    const mallocs = pair.server.mallocs + pair.client.mallocs
    return {
      collections: made,
      loops,
      collectionsBeyondLoop: Math.max(0, made - Math.ceil((loops * LOOP_BYTES) / COLLECTION_BYTES)),
      mallocsBeyondLoop: Math.max(0, mallocs - loops) / (2 * count),
      // Each side receives and sends every message of its connection once per round trip.
      mallocsPerMessage: mallocs / (2 * count),
      garbageBytesPerMessage: (pair.server.heapBytes + pair.client.heapBytes) / (2 * count),
      serverMallocs: pair.server.mallocs,
      clientMallocs: pair.client.mallocs,
      roundTrips: count
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (import.meta.filename === process.argv[1]) {
  compileNativePrograms()
  for (const strategy of ['manual', 'spin', 'hybrid', 'blocking']) {
    console.log(JSON.stringify({ strategy, ...(await measureGarbage(strategy, 100_000, 1_000_000)) }))
  }
}
