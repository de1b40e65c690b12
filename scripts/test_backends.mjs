// Runs the public test suite on each backend that this system allows, and on io_uring as older kernels and full queues leave it.
//
//   npm run test:backends [-- epoll io_uring io_uring/queues … --tap test/api/x.test.mjs …]
//
// What is the name of no variant goes to ava.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { backendVariants, variantName } from './backend_variants.mjs'

const require = createRequire(import.meta.url)
const { native } = require('../dist/engine/native.js')
const ava = join(dirname(require.resolve('ava')), 'cli.mjs')

const names = Object.entries(backendVariants).flatMap(([backend, all]) =>
  all.map((lacks) => variantName(backend, lacks))
)
const given = process.argv.slice(2)
const asked = given.filter((argument) => names.includes(argument))
const forAva = given.filter((argument) => !names.includes(argument))

let failed = 0
for (const [backend, all] of Object.entries(backendVariants)) {
  const chosen = all.filter((lacks) => asked.length === 0 || asked.includes(variantName(backend, lacks)))
  if (chosen.length === 0) continue
  if (!native.backends.includes(backend) || native.probeBackend(backend) !== 0) {
    console.log(
      `${backend}: not tested, because this system refuses it (errno ${native.probeBackend(backend)})`
    )
    continue
  }
  for (const lacks of chosen) {
    console.log(`=== ${variantName(backend, lacks)}`)
    const environment = { ZERIO_BACKEND: backend, ...(lacks && { ZERIO_IO_URING_WITHOUT: lacks }) }
    const env = { ...process.env, ...environment }
    const result = spawnSync(process.execPath, [ava, ...forAva], { env, stdio: 'inherit' })
    if (result.status !== 0) failed++
  }
}
process.exitCode = failed > 0 ? 1 : 0
