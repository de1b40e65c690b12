// Cross-compiles the addon for 64-bit Windows with mingw-w64: build/windows/zerio.node. Nothing but the system's own libraries
// and node.exe is linked dynamically. On Windows itself node-gyp builds the same files with MSVC.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const out = join(root, 'build', 'windows')
const compiler = 'x86_64-w64-mingw32-g++-posix'
const dlltool = 'x86_64-w64-mingw32-dlltool'

// What the addon uses of libuv; node.exe exports all of it.
const libuv = [
  'uv_async_init',
  'uv_async_send',
  'uv_backend_timeout',
  'uv_check_init',
  'uv_check_start',
  'uv_check_stop',
  'uv_close',
  'uv_err_name',
  'uv_idle_init',
  'uv_idle_start',
  'uv_idle_stop',
  'uv_prepare_init',
  'uv_prepare_start',
  'uv_prepare_stop',
  'uv_sem_destroy',
  'uv_sem_init',
  'uv_sem_post',
  'uv_sem_wait',
  'uv_thread_create',
  'uv_thread_join',
  'uv_timer_init',
  'uv_timer_start',
  'uv_timer_stop',
  'uv_translate_sys_error',
  'uv_unref',
  'uv_update_time'
]

function fail(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exit(1)
}

function missing(command) {
  return `${command} is missing; on Debian: apt-get install g++-mingw-w64-x86-64-posix`
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (result.error) fail(missing(command))
  if (result.status !== 0) process.exit(result.status ?? 1)
}

const gyp = JSON.parse(readFileSync(join(root, 'binding.gyp'), 'utf8'))

/** The product's sources as binding.gyp has them for Windows, and the addon of the tests, which is not in the package. */
function targets() {
  const [zerio] = gyp.targets
  const [, windows] = zerio.conditions.find(([condition]) => condition === "OS=='win'")
  const tests = ['test/native/zerio_test.cc', 'test/native/guarded_windows.cc', 'addon/engine/handshake.cc']
  return [
    { name: zerio.target_name, sources: [...zerio.sources, ...windows.sources] },
    { name: 'zerio_test', sources: tests },
    { name: 'rio_emulator', sources: ['test/windows/rio_emulator.cc'] }
  ].filter(({ sources }) => sources.every((source) => existsSync(join(root, source))))
}

const headers = [
  join(dirname(dirname(process.execPath)), 'include', 'node'),
  ...(process.env.NODE_HEADERS ? [process.env.NODE_HEADERS] : [])
].find((folder) => existsSync(join(folder, 'uv', 'win.h')))
if (headers === undefined)
  fail(
    'There are no headers of Node.js beside this node; set NODE_HEADERS to the folder that has node_api.h.'
  )

mkdirSync(out, { recursive: true })
const definitions = join(out, 'node.def')
const nodeApi = ['js_native_api.def', 'node_api.def'].flatMap((name) =>
  readFileSync(require.resolve(`node-api-headers/def/${name}`), 'utf8')
    .split('\n')
    .filter((line) => /^(napi|node)_\w+$/.test(line.trim()))
)
writeFileSync(definitions, ['NAME NODE.EXE', 'EXPORTS', ...nodeApi, ...libuv, ''].join('\n'))
const library = join(out, 'libnode.a')
run(dlltool, ['--input-def', definitions, '--output-lib', library])

const flags = [
  ...['-std=c++20', '-O2', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden'],
  ...['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-Wshadow', '-Wconversion'],
  ...['-Wno-unused-parameter', '-Wno-missing-field-initializers'],
  ...['-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', '-DNODE_ADDON_API_DISABLE_DEPRECATED'],
  ...['-D_WIN32_WINNT=0x0A00', '-DBUILDING_NODE_EXTENSION'],
  ...['-isystem', headers, '-isystem', dirname(require.resolve('node-addon-api/package.json'))]
]

const objectOf = (source) => join(out, `${source.replaceAll('/', '_')}.o`)
const queue = [...new Set(targets().flatMap(({ sources }) => sources))]
async function compile() {
  for (let source = queue.shift(); source !== undefined; source = queue.shift()) {
    const args = [...flags, '-c', source, '-o', objectOf(source)]
    const child = spawn(compiler, args, { cwd: root, stdio: 'inherit' })
    const status = await new Promise((resolve) => child.once('error', resolve).once('close', resolve))
    if (typeof status !== 'number') fail(missing(compiler))
    if (status !== 0) process.exit(status)
  }
}
await Promise.all(Array.from({ length: availableParallelism() }, compile))

for (const { name, sources } of targets()) {
  const addon = join(out, `${name}.node`)
  const objects = sources.map(objectOf)
  run(compiler, ['-shared', '-static', '-s', '-o', addon, ...objects, library, '-lws2_32', '-lmswsock'])
  console.log(`built ${addon}`)
}
