// Measures memory that a zerio server holds: without peers, and per idle peer. The peers live in another process and
// are plain sockets. Prints {serverMb, peerKb}; run by itself or by perf/run.mjs.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { crowdMax } from '../lib/files_limit.mjs'
import { Program } from '../lib/processes.mjs'

const FIRST_PEERS = 100
const MORE_PEERS = 10_000
const SETTLE_MS = 300

const here = (script) => join(import.meta.dirname, script)
const startNode = (script, ...args) => new Program(process.execPath, [here(script), ...args])

/** What a server without peers takes more than an empty Node process, in megabytes. */
export async function measureServerMb() {
  const rssBytes = async (script) => {
    const program = startNode(script)
    try {
      await program.next()
      return await settledRssBytes(program)
    } finally {
      await program.kill()
    }
  }
  const emptyBytes = await rssBytes('empty.mjs')
  return ((await rssBytes('idle_server.mjs')) - emptyBytes) / 2 ** 20
}

/**
 * What each idle peer takes in the server's process, in kilobytes, after a collection: what connecting has left behind is not a peer's.
 * Counted from the peer FIRST_PEERS on: the first ones also pay for code that is loaded on first use. Fewer where the system allows fewer
 * open files.
 */
export async function measurePeerKb() {
  const programs = []
  try {
    const more = Math.min(MORE_PEERS, crowdMax() - FIRST_PEERS)
    const server = new Program(process.execPath, ['--expose-gc', here('idle_server.mjs')])
    programs.push(server)
    const { port } = await server.next()
    const peers = startNode('idle_peers.mjs', '--port', port)
    programs.push(peers)
    peers.write(FIRST_PEERS)
    await peers.next()
    const firstBytes = await collectedRssBytes(server)
    peers.write(FIRST_PEERS + more)
    await peers.next()
    const allBytes = await collectedRssBytes(server)
    return (allBytes - firstBytes) / more / 1024
  } finally {
    await Promise.all(programs.map((program) => program.kill()))
  }
}

async function collectedRssBytes(server) {
  server.write('collect')
  await server.next()
  return settledRssBytes(server)
}

async function settledRssBytes(program) {
  await sleep(SETTLE_MS)
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${program.pid}/status`, 'latin1'))
  return Number(kilobytes[1]) * 1024
}

if (import.meta.filename === process.argv[1]) {
  console.log(JSON.stringify({ serverMb: await measureServerMb(), peerKb: await measurePeerKb() }))
}
