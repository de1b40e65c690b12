// A completion queue that is corrupt ends the process, with a line that says so: node lab/windows/corrupt.mjs
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { ZerioClient, ZerioServer } from 'zerio'

const TIMEOUT_MS = 5000

if (process.argv[2] === 'child') {
  const { corrupt } = createRequire(import.meta.url)('./emulate_rio.cjs')
  const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
  await server.start('server')
  const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
  await client.start('client')
  corrupt()
  client.send(Buffer.from('oui'))
  setTimeout(() => process.exit(0), TIMEOUT_MS)
} else {
  // What it leaves is not reported.
  const env = { ...process.env, ZERIO_RIO_REPORT: '' }
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'child'], { env })
  let said = ''
  const lines = () => said.split('is corrupt').length - 1
  child.stderr.on('data', (bytes) => {
    said += bytes
    // It says so once, and ends.
    if (lines() > 1) child.kill()
  })
  const [code] = await once(child, 'close')
  if (code === 0 || lines() !== 1) throw new Error(`the process ended with ${code}: ${said.slice(0, 500)}`)
  console.log('round 1: rio corrupt')
}
