// Targets that Windows treats in its own way: node lab/windows/connects.mjs. A refusal on this machine ends at once, and 0.0.0.0, :: and
// mapped addresses lead to this machine.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { ZerioClient, ZerioServer } from 'zerio'

const REFUSAL_MS_MAX = 500

async function refusal(host) {
  const free = createServer().listen(0, host)
  await once(free, 'listening')
  const { port } = free.address()
  free.close()
  await once(free, 'close')
  const client = new ZerioClient({ host, port })
  const began = performance.now()
  const code = await client.start('client').then(
    () => 'connected',
    (error) => error.code
  )
  const ms = Math.round(performance.now() - began)
  if (code !== 'ECONNREFUSED' || ms > REFUSAL_MS_MAX) throw new Error(`${host}: ${code} after ${ms} ms`)
  return `${host} refused`
}

async function reach(host, listening) {
  const server = new ZerioServer({ host: listening, port: 0 })
  await server.start('server')
  const client = new ZerioClient({ host, port: server.listeningPort })
  try {
    await client.start('client')
    const message = once(server, 'message')
    client.send(Buffer.from('oui'))
    await message
    return [client.engine.backend, `${host} reached`]
  } catch (error) {
    throw new Error(`${host}: ${error.code ?? error}`)
  } finally {
    await client.stop()
    await server.stop()
  }
}

const failed = []
const seen = []
let backend = ''
for (const host of ['127.0.0.1', '::1'])
  await refusal(host).then(
    (text) => seen.push(text),
    (error) => failed.push(error.message)
  )
for (const [host, listening] of [
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['::ffff:127.0.0.1', '::'],
  ['::ffff:0.0.0.0', '127.0.0.1']
]) {
  await reach(host, listening).then(
    ([name, text]) => {
      backend = name
      seen.push(text)
    },
    (error) => failed.push(error.message)
  )
}
if (failed.length > 0) throw new Error(failed.join('; '))
console.log(`round 1: ${backend} ${seen.join(', ')}`)
