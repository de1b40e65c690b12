// Counts what a long ping-pong allocates on both sides after its warm-up, altogether and beyond what Node.js itself allocates in each
// iteration of its event loop. Run by itself, it does so for every wait strategy.
import { join } from 'node:path'
import { measureSides } from '../lib/garbage.mjs'
import { compileNativePrograms } from '../lib/native_programs.mjs'

const here = (script) => join(import.meta.dirname, script)

// Node.js 20 to 24 make an object of 56 bytes in each iteration of the event loop, and Node-API a handle scope (one malloc, freed at
// once) in each that serves the engine.
const LOOP_BYTES = Number(process.versions.node.split('.')[0]) < 26 ? 56 : 0

/**
 * @param {string} strategy
 * @param {number} warmup round trips before counting starts
 * @param {number} count round trips that count
 */
export async function measureGarbage(strategy, warmup, count) {
  const sides = await measureSides(
    here('echo_server.mjs'),
    here('ping_pong_client.mjs'),
    ['--strategy', strategy],
    { warmup, count }
  )
  const total = (numberOf) => numberOf(sides.echo) + numberOf(sides.client)
  // Each side receives and sends every message of its connection once per round trip.
  const perMessage = (numberOf) => Math.max(0, total(numberOf)) / (2 * count)
  return {
    collections: total(({ collections }) => collections.length),
    garbageBytesPerMessage: perMessage(({ bytes }) => bytes),
    garbageBytesBeyondLoop: perMessage(({ bytes, loops }) => bytes - loops * LOOP_BYTES),
    mallocsPerMessage: perMessage(({ mallocs }) => mallocs),
    mallocsBeyondLoop: perMessage(({ mallocs, loops }) => mallocs - loops),
    echoMallocs: sides.echo.mallocs,
    clientMallocs: sides.client.mallocs,
    roundTrips: count
  }
}

if (import.meta.filename === process.argv[1]) {
  compileNativePrograms()
  for (const strategy of ['manual', 'spin', 'hybrid', 'adaptive', 'blocking']) {
    console.log(JSON.stringify({ strategy, ...(await measureGarbage(strategy, 100_000, 1_000_000)) }))
  }
}
