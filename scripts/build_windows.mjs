// Cross-compiles the addon for 64-bit Windows with mingw-w64: npm run build:windows makes
// prebuilds/win32-x64/zerio.node, and the addons of the tests in build/windows. Nothing but the system's own libraries is linked dynamically, and node.exe by the
// addons of the tests; the product finds its host at load. On Windows itself node-gyp
// builds the same files with MSVC. `--tree` names another copy of the sources to build, with its output in it.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { addonOf, nodeHeaders } from './addon_sources.mjs'
import { compile } from './compile.mjs'
import { writeHostTable } from './windows_host.mjs'

const require = createRequire(import.meta.url)
const { values } = parseArgs({ options: { tree: { type: 'string' } } })
const root = values.tree ?? join(dirname(fileURLToPath(import.meta.url)), '..')
const out = join(root, 'build', 'windows')
const published = join(root, 'prebuilds', 'win32-x64')
const compiler = 'x86_64-w64-mingw32-g++-posix'
const dlltool = 'x86_64-w64-mingw32-dlltool'

function fail(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exit(1)
}

const { sources: addonSources, definitions } = addonOf(root, 'win')

/** The product's sources, and where it finds its host. */
function productSources() {
  const table = 'build/windows/host_functions.cc'
  writeHostTable(root, join(root, table), addonSources)
  return [...addonSources, 'addon/binding/host_windows.cc', table]
}

/** The product, and the addons of the tests, which are not in the package and are for node.exe alone. */
function targets() {
  const tests = [
    'test/native/zerio_test.cc',
    'test/native/guarded_windows.cc',
    'addon/binding/spin_window.cc',
    'addon/engine/handshake.cc',
    'addon/engine/sip_hash.cc'
  ]
  const emulator = [
    'acknowledgements',
    'connecting',
    'injection',
    'ordinary_calls',
    'refusals',
    'report',
    'rio_emulator',
    'rio_system',
    'socket_rules'
  ].map((name) => `lab/windows/${name}.cc`)
  return [
    { name: 'zerio', sources: productSources() },
    { name: 'zerio_test', sources: tests },
    { name: 'rio_emulator', sources: emulator },
    { name: 'refuse_memory', sources: ['lab/windows/refuse_memory.cc'] }
  ].filter(({ sources }) => sources.every((source) => existsSync(join(root, source))))
}

mkdirSync(out, { recursive: true })
const exported = join(out, 'node.def')
const nodeApi = ['js_native_api.def', 'node_api.def'].flatMap((name) =>
  readFileSync(require.resolve(`node-api-headers/def/${name}`), 'utf8')
    .split('\n')
    .filter((line) => /^(napi|node)_\w+$/.test(line.trim()))
)
writeFileSync(exported, ['NAME NODE.EXE', 'EXPORTS', ...nodeApi, ''].join('\n'))
const library = join(out, 'libnode.a')
const made = spawnSync(dlltool, ['--input-def', exported, '--output-lib', library], { stdio: 'inherit' })
if (made.error) fail(`${dlltool} is missing; on Debian: apt-get install g++-mingw-w64-x86-64-posix`)
if (made.status !== 0) process.exit(made.status ?? 1)

const flags = [
  ...['-O2', '-fno-rtti', '-fvisibility=hidden'],
  '-DBUILDING_NODE_EXTENSION',
  // As node-gyp has it.
  '-DUSING_UV_SHARED=1',
  '-DZERIO_FINDS_HOST',
  ...definitions.map((definition) => `-D${definition}`),
  ...['-I', join(root, 'addon')],
  ...['-isystem', nodeHeaders()],
  // The addon of the tests alone is written with node-addon-api.
  ...['-isystem', dirname(require.resolve('node-addon-api/package.json'))],
  '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS'
]
const linkFlags = ['-shared', '-static', '-s', '-lws2_32', '-lmswsock']
for (const { name, sources } of targets()) {
  try {
    console.log(
      `built ${await compile(root, { name: `${name}.node`, folder: out, sources, flags, linkFlags: name === 'zerio' ? linkFlags : [library, ...linkFlags], compiler })}`
    )
  } catch (error) {
    fail(error.message)
  }
}
mkdirSync(published, { recursive: true })
copyFileSync(join(out, 'zerio.node'), join(published, 'zerio.node'))
