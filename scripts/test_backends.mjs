// Runs the public test suite on each backend that this system allows, and on io_uring as older kernels and full queues leave it.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const require = createRequire(import.meta.url)
const { native } = require('../dist/engine/native.js')
const ava = join(dirname(require.resolve('ava')), 'cli.mjs')

const variants = {
  epoll: [{ ZERIO_BACKEND: 'epoll' }],
  io_uring: [
    { ZERIO_BACKEND: 'io_uring' },
    { ZERIO_BACKEND: 'io_uring', ZERIO_IO_URING_WITHOUT: 'queues' },
    { ZERIO_BACKEND: 'io_uring', ZERIO_IO_URING_WITHOUT: 'defer' },
    { ZERIO_BACKEND: 'io_uring', ZERIO_IO_URING_WITHOUT: 'incremental,multishot' }
  ]
}

let failed = 0
for (const [backend, environments] of Object.entries(variants)) {
  if (!native.backends.includes(backend) || native.probeBackend(backend) !== 0) {
    console.log(
      `${backend}: not tested, because this system refuses it (errno ${native.probeBackend(backend)})`
    )
    continue
  }
  for (const environment of environments) {
    console.log(
      Object.entries(environment)
        .map(([name, value]) => `${name}=${value}`)
        .join(' ')
    )
    const env = { ...process.env, ...environment }
    const result = spawnSync(process.execPath, [ava, ...process.argv.slice(2)], { env, stdio: 'inherit' })
    if (result.status !== 0) failed++
  }
}
process.exitCode = failed > 0 ? 1 : 0
