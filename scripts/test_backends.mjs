// Runs the public test suite on each backend that this system allows, and on io_uring as older kernels and full queues leave it.
//
//   npm run test:backends [-- epoll io_uring io_uring/queues … -- --tap]
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

const given = process.argv.slice(2)
const end = given.indexOf('--')
const asked = end < 0 ? given.filter((argument) => !argument.startsWith('-')) : given.slice(0, end)
const forAva = end < 0 ? given.filter((argument) => argument.startsWith('-')) : given.slice(end + 1)
const nameOf = (backend, { ZERIO_IO_URING_WITHOUT: lacks }) =>
  lacks === undefined ? backend : `${backend}/${lacks}`
const names = Object.entries(variants).flatMap(([backend, all]) => all.map((one) => nameOf(backend, one)))
const unknown = asked.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`There is no variant ${unknown.join(', ')}. There are:\n${names.join('\n')}`)
  process.exit(2)
}

let failed = 0
for (const [backend, all] of Object.entries(variants)) {
  const environments = all.filter((one) => asked.length === 0 || asked.includes(nameOf(backend, one)))
  if (environments.length === 0) continue
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
    const result = spawnSync(process.execPath, [ava, ...forAva], { env, stdio: 'inherit' })
    if (result.status !== 0) failed++
  }
}
process.exitCode = failed > 0 ? 1 : 0
