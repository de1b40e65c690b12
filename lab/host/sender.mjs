// A program that sends from everywhere, one place after the other, and waits each time until the observer has received it.
//
//   sender.mjs <settings as JSON>     { ports, options, names, rounds, inWorker, liesMs }

import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { ZerioClient, ZerioServer } from 'zerio'
import { openLanes } from './lanes.mjs'
import { runDelayMs } from './observer.mjs'
import { sources } from './sources.mjs'

/** How long a source may take to get ready, on a machine that is busy with other work. */
const READY_MS_MAX = 20_000
/** What the observer has not received by then counts as never sent. */
const HEARD_MS_MAX = 1_000

const settings = JSON.parse(isMainThread ? process.argv[2] : workerData)
if (settings.inWorker && isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { workerData: process.argv[2] })
  worker.on('error', (error) => {
    console.error(error)
    process.exit(1)
  })
  worker.on('exit', (code) => process.exit(code))
} else {
  await main()
}

/** Answers of the observer: `next(op)` resolves with the next one of this kind about the present cell. */
function hearObserver(lanes, pokes) {
  const waiting = new Map()
  let rest = ''
  lanes.control.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines.map((one) => JSON.parse(one))) {
      if (line.op === 'poked') pokes.get('net')()
      else if (line.cell === lanes.cell) waiting.get(line.op)?.(line)
    }
  })
  return (op) => new Promise((resolve) => waiting.set(op, resolve))
}

/** Has `pokes` called for messages to the server, to the client, and to a server of another engine. */
async function hearPokes({ tell, server, client }, pokes, isManual) {
  const poked = (name) => (buffer, offset, length) => {
    if (length === 4 && buffer.toString('latin1', offset, offset + length) === 'poke') pokes.get(name)?.()
  }
  const [atServer, atClient, atOther] = ['server', 'client', 'other'].map(poked)
  server.onMessage = (_peer, buffer, offset, length) => atServer(buffer, offset, length)
  client.onMessage = atClient
  if (isManual) return
  // Other sizes, another engine.
  const otherOptions = { ...settings.options, sendRingBytes: 524_288 }
  const other = new ZerioServer({ host: '127.0.0.1', port: 0 }, otherOptions)
  await other.start('other')
  tell({ op: 'connect', name: 'other', port: other.listeningPort })
  other.onMessage = (_peer, buffer, offset, length) => atOther(buffer, offset, length)
  while (other.peerCount === 0) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** What a source may use. */
function makeHost({ tell, server }, pokes, laters) {
  return {
    tell,
    server,
    ports: settings.ports,
    onPoke: (name, action) => pokes.set(name, () => action()),
    later: (action) => laters.push(action),
    makeClient: () => new ZerioClient({ host: '127.0.0.1', port: settings.ports.lane }, settings.options),
    part: async (name) => {
      if (server.peer(name)) {
        tell({ op: 'disconnect', name })
        await new Promise((resolve) => server.once('clientDisconnected', resolve))
      }
    }
  }
}

async function main() {
  const lanes = await openLanes(settings)
  const { tell, server, control } = lanes
  const isManual = settings.options.waitStrategy === 'manual'
  const pokes = new Map()
  const laters = []
  const next = hearObserver(lanes, pokes)
  await hearPokes(lanes, pokes, isManual)
  const host = makeHost(lanes, pokes, laters)

  function send(index) {
    lanes.send(index)
    // Nothing but the program itself drives a manual engine.
    if (isManual) server.flush()
  }

  async function run(name, { start, count = 1 }) {
    for (let tries = 1; ; tries++) {
      const number = lanes.open(name, count)
      const delayMs = runDelayMs()
      const heard = next('heard')
      const guards = []
      let cleanUp
      await new Promise((resolve) => {
        guards.push(setTimeout(resolve, READY_MS_MAX))
        const sendOne = (index = 0) => {
          // What a source that came too late sends must not count for the next one.
          if (number !== lanes.cell) return
          send(index)
          if (index === count - 1) guards.push(setTimeout(resolve, HEARD_MS_MAX))
        }
        cleanUp = start(sendOne, host)
        Promise.all([cleanUp, heard]).then(resolve)
      })
      for (const guard of guards) clearTimeout(guard)
      tell({ op: 'over', cell: number, tries, delayMs: runDelayMs() - delayMs })
      const { again } = await next('verdict')
      for (const action of laters.splice(0)) action()
      pokes.clear()
      await (await Promise.race([cleanUp, new Promise(setImmediate)]))?.()
      server.flush()
      if (!again) return
    }
  }

  for (const name of settings.names) {
    const source = sources[name]
    for (let round = 0; round < (source.once ? 1 : settings.rounds); round++) await run(name, source)
  }
  tell({ op: 'cell', cell: -1, name: 'the end', count: 0 })
  control.end(() => process.exit(0))
}
