// Builds addon/binding.gyp with node-gyp, against the headers beside this Node.js where it has them, so that no download is needed:
// prebuilds/<platform>-<arch>/zerio.node, which is published, and the addon of the tests in addon/build/Release.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const prefix = dirname(dirname(process.execPath))
const headers = existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : []
const result = spawnSync(
  process.execPath,
  [
    require.resolve('node-gyp/bin/node-gyp.js'),
    ...process.argv.slice(2),
    'configure',
    'build',
    '--loglevel=warn',
    ...headers
  ],
  {
    cwd: join(dirname(fileURLToPath(import.meta.url)), '..', 'addon'),
    stdio: ['ignore', 'inherit', 'inherit']
  }
)
process.exit(result.status ?? 1)
