// A host dies: a network namespace with clients in it loses its cable, and both sides must find out by themselves within a minute,
// with default options. Then a peer comes back from elsewhere with the id of a dead one. Linux, as root, with iproute2.
//
//   node lab/reliability/dead_host.mjs

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SendStatus, ZerioClient, ZerioServer } from 'zerio'

const NAMESPACE = `zerio-${process.pid}`
const CABLE = `zv${process.pid}`.slice(0, 13)
const HERE = '10.213.77.1'
const THERE = '10.213.77.2'
const SECONDS_MAX = 60
const kinds = ['idle native', 'idle classic', 'sent to', 'sends']

/** The clients, in the other namespace. They say when they lose their server. */
async function runClients(port) {
  for (const kind of kinds) {
    const protocol = kind === 'idle classic' ? 'classic' : 'native'
    const client = new ZerioClient({ host: HERE, port }, { protocol })
    client.on('disconnected', (reason) => console.log(`${kind}\t${reason.code}`))
    await client.start(kind)
    if (kind === 'sends') setInterval(() => client.send(Buffer.alloc(10)), 500)
  }
  console.log('ready')
}

function ip(...args) {
  const { status, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${error?.message ?? stderr}`)
}

function build() {
  ip('netns', 'add', NAMESPACE)
  ip('link', 'add', CABLE, 'type', 'veth', 'peer', 'name', `${CABLE}p`, 'netns', NAMESPACE)
  ip('addr', 'add', `${HERE}/24`, 'dev', CABLE)
  ip('link', 'set', CABLE, 'up')
  ip('-n', NAMESPACE, 'addr', 'add', `${THERE}/24`, 'dev', `${CABLE}p`)
  ip('-n', NAMESPACE, 'link', 'set', `${CABLE}p`, 'up')
}

/** Both sides stay up, and packets between them are lost, so that nothing on this host shows that the other one is gone. */
const die = () => {
  for (const of of [['-n', NAMESPACE], []]) {
    const cable = of.length > 0 ? `${CABLE}p` : CABLE
    ip(...of, 'neigh', 'replace', of.length > 0 ? HERE : THERE, 'lladdr', '02:00:00:00:00:99', 'dev', cable)
  }
}

async function run() {
  const lost = new Map()
  let died = Number.POSITIVE_INFINITY
  const note = (who, code) => lost.set(who, { code, seconds: (performance.now() - died) / 1000 })
  const server = new ZerioServer({ host: '0.0.0.0', port: 0 })
  server.on('clientDisconnected', (id, reason) => note(`server: ${id}`, reason.code))
  await server.start('server')
  const args = ['netns', 'exec', NAMESPACE, process.execPath, fileURLToPath(import.meta.url), 'clients']
  const child = spawn('ip', [...args, server.listeningPort], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const ready = new Promise((resolve) => {
    lines.on('line', (line) => {
      const [kind, code] = line.split('\t')
      if (code === undefined) resolve()
      else note(`client: ${kind}`, code)
    })
  })
  await ready
  const sending = setInterval(() => server.peer('sent to')?.send(Buffer.alloc(10)), 500)
  await pause(2000)
  die()
  died = performance.now()
  const all = 2 * kinds.length
  while (lost.size < all && performance.now() - died < SECONDS_MAX * 1000) await pause(100)
  clearInterval(sending)
  let failed = all - lost.size
  for (const [who, { code, seconds }] of lost) {
    if (code !== 'ETIMEDOUT') failed++
    console.log(`${who}: ${code} after ${seconds.toFixed(1)} s`)
  }
  const back = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
  await back.start('idle native')
  if (back.send(Buffer.alloc(1)) !== SendStatus.Sent) failed++
  await back.stop()
  const ended = once(child, 'exit')
  child.kill()
  await ended
  await server.stop()
  console.log(failed === 0 ? `all ${all} within a minute, and the id is free` : `FAILED: ${failed}`)
  process.exitCode = failed === 0 ? 0 : 1
}

if (process.argv[2] === 'clients') {
  await runClients(Number(process.argv[3]))
} else {
  try {
    build()
    await run()
  } finally {
    ip('netns', 'del', NAMESPACE)
  }
}
