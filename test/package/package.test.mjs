// The package as its users see it: ES module and CommonJS faces share everything, its types hold, and npm leaves its binary alone.

import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import * as esm from 'zerio'
import { userEnvironment } from '../../scripts/user_environment.mjs'

const execute = promisify(execFile)
const require = createRequire(import.meta.url)
const commonJs = require('zerio')
const root = fileURLToPath(new URL('../..', import.meta.url))

const names = [
  'CloseCode',
  'ConnectionCounters',
  'DisconnectReason',
  'EngineCounters',
  'Frame',
  'SendStatus',
  'ServerCounters',
  'StatusField',
  'TopicCounters',
  'Waker',
  'ZerioClient',
  'ZerioError',
  'ZerioServer',
  'createPair',
  'readClock'
]

test('both faces export the same names and the same objects', (t) => {
  // Node adds these two to the ES module face of what was CommonJS once.
  const face = Object.entries(esm).filter(([name]) => name !== '__esModule' && name !== 'module.exports')
  t.deepEqual(face.map(([name]) => name).sort(), names)
  t.deepEqual(Object.keys(commonJs).sort(), names)
  for (const [name, value] of face) t.is(value, commonJs[name], name)
})

test('a server of one face and a client of the other share one engine', async (t) => {
  const server = new commonJs.ZerioServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.stop())
  await server.start('server')
  const client = new esm.ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
  t.teardown(() => client.stop())
  await client.start('client')
  t.is(client.engine, server.engine)
  await t.throwsAsync(client.start('client'), { instanceOf: commonJs.ZerioError })
})

const consumer = `
import {
  type Address, type ClientOptions, CloseCode, ConnectionCounters, DisconnectReason, type Peer, readClock, SendStatus,
  type ServerOptions, type SubscribeHandler, type Topic, type TopicOptions, ZerioClient, ZerioError, ZerioServer
} from 'zerio'

const options: ServerOptions = {
  waitStrategy: 'hybrid', spinUs: 20, duplicateIds: 'replace',
  authenticate: (id: string, credential: Buffer) => id.length > credential.length
}
const address: Address = { port: 0 }
const server = new ZerioServer(address, options)
server.on('clientConnected', (peerId, peer) => {
  const id: string = peerId
  const status: SendStatus = peer.send(new Uint8Array(4), 1, 2, 3)
  if (status === SendStatus.BackPressured) peer.userData = id
})
server.on('clientDisconnected', (peerId, reason, peer) => {
  const text: string = peerId + reason.code + reason.message + peer.id
  const code: number = reason.closeCode
  return [text, code]
})
server.on('message', (peerId, message, channel, peer) => {
  const status: SendStatus = server.send(peerId, message.subarray(1), channel)
  peer.close(CloseCode.ApplicationMin, String(status))
})
server.on('drain', (peer: Peer) => peer.isOpen)
server.on('refused', (reason: DisconnectReason) => reason.local)
server.on('error', (error: ZerioError) => error.code.length)
server.onMessage = (peer, buffer, offset, length, channel) => {
  peer.send(buffer, offset, length, channel)
}
export async function main(): Promise<number> {
  await server.start('server')
  const clientOptions: ClientOptions = { credential: 'secret', protocol: 'native' }
  const client = new ZerioClient({ host: 'localhost', port: server.listeningPort }, clientOptions)
  client.on('connected', () => {})
  client.on('disconnected', (reason) => reason.errno)
  client.on('drain', () => {})
  client.on('message', (message, channel) => message.readInt8(channel))
  client.onMessage = (buffer, offset) => buffer.readDoubleLE(offset)
  await client.start('client')
  const at: number = client.claim(8)
  client.view.setFloat64(at, 1.5, true)
  const done: SendStatus = client.commit()
  const counters: ConnectionCounters = client.counters
  const times = new Float64Array(2)
  readClock(times, 1)
  const taken: number = server.broadcast(times.subarray(0, 0) && new Uint8Array(1))
  const found: Peer | undefined = server.peer('client')
  const topicOptions: TopicOptions = { slow: 'latest', keysMax: 8 }
  const topic: Topic = server.topic('topic', topicOptions)
  const handler: SubscribeHandler = (peer, name) => peer.id !== name
  server.onSubscribe = handler
  await client.subscribe('topic')
  if (found !== undefined && topic.has(found)) topic.set(1, times.subarray(0, 0) && new Uint8Array(1))
  const conflated: number = topic.counters.conflated
  client.on('subscribeRefused', (name, error) => name + error.code + conflated)
  await client.unsubscribe('topic')
  await client.stop()
  await server[Symbol.asyncDispose]()
  return done + taken + counters.messagesSent + (found?.counters.bytesSent ?? 0)
}

// @ts-expect-error unknown events are mistakes
server.on('clientConnect', () => {})
// @ts-expect-error unknown options are mistakes
new ZerioServer(0, { waitStrategie: 'spin' })
// @ts-expect-error servers only
new ZerioClient(0, { maxPeers: 4 })
// @ts-expect-error not one of the strategies
new ZerioServer(0, { waitStrategy: 'fast' })
// @ts-expect-error a message is bytes
server.send('client', 'text')
// @ts-expect-error internal
server._left
// @ts-expect-error not one of the ways
server.topic('topic', { slow: 'wait' })
// @ts-expect-error read only
server.listeningPort = 5
`

for (const [kind, extension] of [
  ['ES module', 'mts'],
  ['CommonJS', 'cts']
]) {
  test(`a strict TypeScript program compiles: ${kind}`, async (t) => {
    mkdirSync(join(root, 'build'), { recursive: true })
    const folder = mkdtempSync(join(root, 'build', 'types-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(folder, `consumer.${extension}`), consumer)
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module: 'node16',
          target: 'es2022',
          lib: ['es2023', 'esnext.disposable'],
          types: ['node'],
          skipLibCheck: false
        },
        files: [`consumer.${extension}`]
      })
    )
    const { code, output } = await new Promise((resolve) => {
      const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      execFile(process.execPath, [compiler, '-p', folder], (error, stdout) => {
        resolve({ code: error ? error.code : 0, output: stdout })
      })
    })
    t.is(output, '')
    t.is(code, 0)
  })
}

test('npm install and npm rebuild keep the packed binary, in a path with spaces and other letters', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'zerio packed é '))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const env = userEnvironment()
  const npm = (cwd, ...args) => execute('npm', [...args, '--ignore-scripts=false'], { cwd, env })
  await execute('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root, env })
  const [archive] = readdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', version: '1.0.0' }))
  const load = "console.log(typeof require('zerio').ZerioServer)"
  const loads = async () => (await execute(process.execPath, ['-e', load], { cwd: folder, env })).stdout
  await npm(folder, 'install', '--offline', '--no-audit', '--no-fund', `./${archive}`)
  t.is(await loads(), 'function\n')
  await npm(folder, 'rebuild')
  t.is(await loads(), 'function\n')
  // Only a user who asks for it builds from source.
  const installed = join(folder, 'node_modules', 'zerio')
  t.false(readdirSync(installed).includes('binding.gyp'))
  t.false(readdirSync(join(installed, 'addon')).includes('build'))
  const { scripts } = require(join(installed, 'package.json'))
  for (const name of ['preinstall', 'install', 'postinstall']) t.is(scripts[name], undefined, name)
})
