// Runs the public test suite on each backend that this system allows, on io_uring as older kernels and full queues leave it, and on the
// backend of macOS and FreeBSD.
//
//   npm run test:backends [-- epoll io_uring io_uring/queues kqueue … --tap test/api/x.test.mjs …]
//
// What is the name of no variant goes to ava.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { backendVariants, variantName } from './backend_variants.mjs'
import { treeWithKqueue } from './kqueue_addon.mjs'

const require = createRequire(import.meta.url)
const { native } = require('../dist/engine/native.js')
const ava = join(dirname(require.resolve('ava')), 'cli.mjs')
const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** What cannot be tested with kqueue, and why. */
const leftOut = {
  'test/host/portable_loop.test.mjs': 'the loop driver of other runtimes is there on Linux alone',
  'test/package/**': 'is about the package of this system',
  'test/tools/**': 'is about commands, which are the same with each backend'
}

const names = Object.entries(backendVariants).flatMap(([backend, all]) =>
  all.map((lacks) => variantName(backend, lacks))
)
const given = process.argv.slice(2)
const asked = given.filter((argument) => names.includes(argument))
const forAva = given.filter((argument) => !names.includes(argument))

/** Runs the suite of `folder`. Returns whether it passed. */
function passes(name, folder, args, environment) {
  console.log(`=== ${name}`)
  const env = { ...process.env, ...environment }
  return spawnSync(process.execPath, [ava, ...args], { cwd: folder, env, stdio: 'inherit' }).status === 0
}

async function passesWithKqueue() {
  for (const [files, reason] of Object.entries(leftOut)) console.log(`left out: ${files}: ${reason}`)
  const without = Object.keys(leftOut).map((files) => `!${files}`)
  const files = forAva.some((argument) => argument.includes('.test.')) ? [] : ['test/**/*.test.mjs']
  const tree = await treeWithKqueue(root)
  return passes('kqueue', tree, [...forAva, ...files, ...without], { ZERIO_BACKEND: 'kqueue' })
}

let failed = 0
for (const [backend, all] of Object.entries(backendVariants)) {
  const chosen = all.filter((lacks) => asked.length === 0 || asked.includes(variantName(backend, lacks)))
  if (chosen.length === 0) continue
  if (backend === 'kqueue' && process.platform === 'linux') {
    if (!(await passesWithKqueue())) failed++
    continue
  }
  if (!native.backends.includes(backend) || native.probeBackend(backend) !== 0) {
    console.log(
      `${backend}: not tested, because this system refuses it (errno ${native.probeBackend(backend)})`
    )
    continue
  }
  for (const lacks of chosen) {
    const environment = { ZERIO_BACKEND: backend, ...(lacks && { ZERIO_IO_URING_WITHOUT: lacks }) }
    if (!passes(variantName(backend, lacks), root, forAva, environment)) failed++
  }
}
process.exitCode = failed > 0 ? 1 : 0
