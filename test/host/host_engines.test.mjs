// Engines come and go in any number, and give back what they held.

import test from 'ava'
import { runScript } from '../helpers/child.mjs'

// `npm run test:host` takes more of them.
const scale = Number(process.env.ZERIO_HOST_SCALE ?? 1)
const inTurn = 400 * scale
const atOnce = scale > 1 ? 200 : 100

const head = `
  import { createRequire } from 'node:module'
  import { readFileSync, readdirSync } from 'node:fs'
  import { once } from 'node:events'
  import { setTimeout as pause } from 'node:timers/promises'
  import { ZerioClient, ZerioServer } from 'zerio'
  const [backend] = process.argv.slice(-1)
  const descriptors = () => readdirSync('/proc/self/fd').length
  const residentMb = () => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024
  const collect = async () => {
    for (let i = 0; i < 4; i++) {
      globalThis.gc()
      await pause(5)
    }
  }
  // Other sizes, another engine.
  let engines = 0
  const own = () => ({ backend, sendRingBytes: 262144 + 8 * (engines++ % 4000) })
  async function echo(options, lasting) {
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, options)
    server.onMessage = (peer, buffer, offset, length) => peer.send(buffer, offset, length)
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, options)
    await client.start('client')
    client.send(Buffer.from('question'))
    await once(client, 'message')
    const stop = async () => {
      await client.stop()
      await server.stop()
    }
    if (!lasting) await stop()
    return stop
  }
`

async function report(t, work, backend) {
  const flags = ['--expose-gc']
  const { code, signal, stdout, stderr } = await runScript(`${head}\n${work}`, {
    flags,
    args: [backend],
    timeoutMs: 50_000 * scale
  })
  t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
  return JSON.parse(stdout)
}

const { native } = await import('../../dist/engine/native.js').then((module) => module.default)
const backends = native.backends.filter((name) => native.probeBackend(name) === 0)

for (const backend of backends) {
  test(`engines of one thread give back everything, one after the other: ${backend}`, async (t) => {
    const { more, moreMb } = await report(
      t,
      `
      for (let i = 0; i < 40; i++) await echo(own())
      await collect()
      const before = { descriptors: descriptors(), mb: residentMb() }
      for (let i = 0; i < ${inTurn}; i++) {
        await echo(own())
        if (i % 100 === 99) await collect()
      }
      await collect()
      console.log(JSON.stringify({ more: descriptors() - before.descriptors, moreMb: residentMb() - before.mb }))
      `,
      backend
    )
    t.true(more <= 4, `${more} descriptors more`)
    t.true(moreMb < 24, `${moreMb} MB more`)
  })

  test(`${atOnce} engines at a time give back everything: ${backend}`, async (t) => {
    const { more, moreMb } = await report(
      t,
      `
      await echo(own())
      const round = async () => {
        const stops = await Promise.all(Array.from({ length: ${atOnce} }, () => echo(own(), true)))
        await Promise.all(stops.map((stop) => stop()))
        await collect()
      }
      await round()
      const before = { descriptors: descriptors(), mb: residentMb() }
      await round()
      console.log(JSON.stringify({ more: descriptors() - before.descriptors, moreMb: residentMb() - before.mb }))
      `,
      backend
    )
    t.true(more <= 4, `${more} descriptors more`)
    t.true(moreMb < 24, `${moreMb} MB more`)
  })

  test(`a package that is loaded again and again gives back everything: ${backend}`, async (t) => {
    const { more, warnings } = await report(
      t,
      `
      const warnings = []
      process.on('warning', (warning) => warnings.push(warning.message))
      const require = createRequire(process.cwd() + '/')
      const round = async () => {
        for (const key of Object.keys(require.cache)) if (key.includes('/dist/')) delete require.cache[key]
        const anew = require('zerio')
        const server = new anew.ZerioServer({ host: '127.0.0.1', port: 0 }, { backend })
        await server.start('server')
        const client = new anew.ZerioClient({ host: '127.0.0.1', port: server.listeningPort }, { backend })
        await client.start('client')
        await client.stop()
        await server.stop()
      }
      for (let i = 0; i < 10; i++) await round()
      await collect()
      const before = descriptors()
      for (let i = 0; i < 100; i++) await round()
      await collect()
      console.log(JSON.stringify({ more: descriptors() - before, warnings }))
      `,
      backend
    )
    t.true(more <= 4, `${more} descriptors more`)
    t.deepEqual(warnings, [])
  })
}
