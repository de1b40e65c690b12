// All other work of a Node process goes on while messages flow without a pause.

import test from 'ava'
import { runScript } from '../helpers/child.mjs'

const script = `
import { execFile } from 'node:child_process'
import { createServer, get } from 'node:http'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { Worker, MessageChannel } from 'node:worker_threads'
import { ZerioServer, ZerioClient } from 'zerio'

const [waitStrategy, traffic] = process.argv.slice(-2)
const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { waitStrategy })
server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
await server.start('server')
const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, { waitStrategy })
let echoes = 0
let inTurn = null
client.onMessage = () => {
  echoes++
  inTurn?.()
  client.send(ping)
}
const ping = Buffer.alloc(32)
await client.start('client')
if (traffic === 'busy') client.send(ping)

/** From a handler when messages flow: there the engine has the thread. */
const start = (work) => new Promise((resolve, reject) => {
  const go = () => {
    inTurn = null
    Promise.resolve(work()).then(resolve, reject)
  }
  if (traffic === 'busy') inTurn = go
  else go()
})
const late = (name) => new Promise((_, reject) => setTimeout(reject, 5000, new Error(name + ' does not go on')).unref())
const works = {
  timeout: () => new Promise((resolve) => setTimeout(resolve, 5)),
  interval: () => new Promise((resolve) => {
    let ticks = 0
    const timer = setInterval(() => ++ticks === 5 && (clearInterval(timer), resolve()), 2)
  }),
  immediate: () => new Promise((resolve) => setImmediate(resolve)),
  nextTick: () => new Promise((resolve) => process.nextTick(resolve)),
  'unreferenced timer': () => new Promise((resolve) => setTimeout(resolve, 5).unref()),
  file: () => readFile('package-lock.json'),
  http: async () => {
    const web = createServer((_, response) => response.end('body')).listen(0, '127.0.0.1')
    await once(web, 'listening')
    const [response] = await once(get({ host: '127.0.0.1', port: web.address().port, agent: false }), 'response')
    response.resume()
    await once(response, 'end')
    web.close()
  },
  child: () => new Promise((resolve, reject) => execFile(process.execPath, ['--version'], (error) => error ? reject(error) : resolve())),
  signal: async () => {
    const heard = once(process, 'SIGUSR2')
    process.kill(process.pid, 'SIGUSR2')
    await heard
  },
  worker: async () => {
    const worker = new Worker("require('node:worker_threads').parentPort.once('message', (m) => process.exit(m))", { eval: true, execArgv: [] })
    worker.postMessage(7)
    const [code] = await once(worker, 'exit')
    if (code !== 7) throw new Error('code ' + code)
  },
  'message port': async () => {
    const { port1, port2 } = new MessageChannel()
    port1.postMessage('x')
    await once(port2, 'message')
    port1.close()
  }
}
for (let round = 0; round < 3; round++) {
  // Windows has no signals between processes.
  if (process.platform === 'win32') delete works.signal
  for (const [name, work] of Object.entries(works)) await Promise.race([start(work), late(name)])
}
const began = performance.now()
await start(() => new Promise((resolve) => setTimeout(resolve, 30)))
const waited = performance.now() - began
if (waited < 29) throw new Error('a timer of 30 ms came after ' + waited)
const echoesWanted = traffic === 'busy' ? 101 : 0
const enough = async () => {
  while (echoes < echoesWanted) await new Promise((resolve) => setTimeout(resolve, 5))
}
await Promise.race([enough(), late('the traffic')])
console.log(traffic, 'done')
await client.stop()
await server.stop()
`

for (const waitStrategy of ['blocking', 'spin', 'hybrid', 'adaptive']) {
  for (const traffic of ['busy', 'quiet']) {
    test(`timers, files, sockets, children, signals and workers go on: ${waitStrategy}, ${traffic}`, async (t) => {
      const { code, stdout, stderr } = await runScript(script, { args: [waitStrategy, traffic] })
      t.is(stderr, '')
      t.is(stdout, `${traffic} done\n`)
      t.is(code, 0)
    })
  }
}
