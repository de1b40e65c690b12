// Cross-compiles the addon with zig for every system that the package has a binary for:
//
//   npm run prebuilds [-- --check] [linux-x64 win32-arm64 …]
//
// makes prebuilds/<target>/zerio.node and prints what each file exports and needs. `--check` builds everything again from a copy of the
// sources in another folder, and fails when one byte differs. What was compiled is kept in zig's cache, and so is its C++ library for
// each target. (For `npm run prebuild` see prebuild.mjs.)
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import Table from 'cli-table3'
import { addonOf, nodeHeaders } from './addon_sources.mjs'
import { binaryFacts } from './binary_facts.mjs'
import { writeHostTable } from './windows_host.mjs'
import { findZig } from './zig.mjs'

const execute = promisify(execFile)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
/** The oldest glibc that a binary may ask for: that of 2012, which Red Hat Enterprise Linux 7 has. */
const GLIBC = '2.17'
/** The oldest macOS that Node.js 22 runs on. */
const MACOS = '11.0'
const EXPORTED = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']
/**
 * What else a binary of macOS exports, because zig's linker hides nothing there: libc++'s operators new and delete, of which macOS takes
 * one for the whole process, and two names of the linker's own.
 */
const EXPORTED_MACOS = /^_Z(n[aw]|d[al])|^_mh_dylib_header$|^__dso_handle$/

const targets = {
  'linux-x64': { triple: `x86_64-linux-gnu.${GLIBC}`, system: 'linux' },
  'linux-arm64': { triple: `aarch64-linux-gnu.${GLIBC}`, system: 'linux' },
  'linux-x64-musl': { triple: 'x86_64-linux-musl', system: 'linux' },
  'linux-arm64-musl': { triple: 'aarch64-linux-musl', system: 'linux' },
  'darwin-x64': { triple: `x86_64-macos.${MACOS}`, system: 'mac' },
  'darwin-arm64': { triple: `aarch64-macos.${MACOS}`, system: 'mac' },
  'win32-x64': { triple: 'x86_64-windows-gnu', system: 'win' },
  'win32-arm64': { triple: 'aarch64-windows-gnu', system: 'win' }
}

/** All paths are relative to the tree, so that none of this machine gets into the binary, and that each clone finds the same in zig's cache. */
const flagsOf = (triple, definitions) => [
  ...['-std=c++20', '-target', triple, '-O2', '-g0', '-w'],
  ...['-fPIC', '-fno-rtti', '-fvisibility=hidden', '-DUSING_UV_SHARED=1', '-DBUILDING_NODE_EXTENSION'],
  ...definitions.map((definition) => `-D${definition}`),
  ...['-I', 'addon', '-isystem', nodeHeaders(), '-shared', '-s']
]

/**
 * Builds one target of the tree `tree`; returns the bytes. One call of zig compiles all sources and, where its cache has none, the C++
 * library for this target: what has not changed comes from the cache.
 */
async function build(tree, zig, name) {
  const { triple, system } = targets[name]
  const { sources, definitions } = addonOf(tree, system)
  const folder = `build/prebuild/${name}`
  const libraries = []
  mkdirSync(join(tree, folder), { recursive: true })
  if (system === 'win') {
    const table = `${folder}/host_functions.cc`
    writeHostTable(tree, join(tree, table), sources)
    sources.push('addon/binding/host_windows.cc', table)
    definitions.push('ZERIO_FINDS_HOST')
    libraries.push('-lws2_32', '-lmswsock')
  } else if (system === 'mac') {
    // The functions of Node.js are those of the process that loads the binary.
    libraries.push('-Wl,-undefined,dynamic_lookup', '-Wl,-install_name,@rpath/zerio.node')
  } else {
    const script = `${folder}/exported.map`
    writeFileSync(join(tree, script), `{ global: ${EXPORTED.join('; ')}; local: *; };\n`)
    // Deno lacks functions of libuv, which are looked up when they are called first; it never calls them.
    libraries.push(`-Wl,--version-script=${script}`, '-Wl,--build-id=none', '-Wl,-z,lazy')
  }
  const output = `${folder}/zerio.node`
  const args = ['c++', ...flagsOf(triple, definitions), ...sources, '-o', output, ...libraries]
  try {
    await execute(zig.program, args, { cwd: tree, env: zig.env, maxBuffer: 1 << 26 })
  } catch (error) {
    throw new Error(`zig failed for ${name}:\n${error.stderr || error.message}`)
  }
  return readFileSync(join(tree, output))
}

/** What is wrong with a binary, as sentences. */
function faultsOf({ exported, libraries, glibc = '0', macos, signed }, name) {
  const faults = []
  const others = exported.filter((name) => !EXPORTED.includes(name))
  const allowed = others.every((name) => macos !== undefined && EXPORTED_MACOS.test(name))
  if (exported.length - others.length < EXPORTED.length || !allowed)
    faults.push(`exports ${exported.join(', ')}`)
  if (GLIBC.localeCompare(glibc, 'en', { numeric: true }) < 0) faults.push(`asks for glibc ${glibc}`)
  if (macos !== undefined && macos !== MACOS) faults.push(`asks for macOS ${macos}`)
  // macOS on x64 loads a binary without a signature, too; zig makes none there.
  if (signed === false || (name === 'darwin-arm64' && !signed)) faults.push('has no signature that fits')
  const other = libraries.filter((library) => /stdc\+\+|c\+\+|gcc|node/.test(library))
  if (other.length > 0) faults.push(`needs ${other.join(', ')}`)
  return faults
}

/** Builds again in another folder, without what was compiled of the addon, and says what differs. */
async function differsAgain(zig, name, bytes) {
  const tree = mkdtempSync(join(tmpdir(), 'zerio-prebuild-'))
  const env = { ...(zig.env ?? process.env), ZIG_LOCAL_CACHE_DIR: join(tree, 'cache') }
  try {
    cpSync(join(root, 'addon'), join(tree, 'addon'), { recursive: true })
    return (await build(tree, { ...zig, env }, name)).equals(bytes) ? [] : ['differs from a second build']
  } finally {
    rmSync(tree, { recursive: true })
  }
}

/** A process that has loaded the old file keeps it. */
function publish(name, bytes) {
  const folder = join(root, 'prebuilds', name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'zerio.new'), bytes)
  renameSync(join(folder, 'zerio.new'), join(folder, 'zerio.node'))
}

/** Builds, checks and publishes one target; returns its row of the table. */
async function make(zig, name, check) {
  const began = Date.now()
  const bytes = await build(root, zig, name)
  const facts = binaryFacts(bytes)
  const faults = [...faultsOf(facts, name), ...(check ? await differsAgain(zig, name, bytes) : [])]
  if (faults.length > 0) throw new Error(`prebuilds/${name}/zerio.node ${faults.join('; ')}.`)
  publish(name, bytes)
  const seconds = Math.round((Date.now() - began) / 1000)
  return [
    name,
    bytes.length,
    facts.glibc ? `glibc ${facts.glibc}` : facts.macos ? `macOS ${facts.macos}` : '-',
    facts.exported.length,
    facts.libraries.join('\n') || 'nothing',
    seconds
  ]
}

/** As many targets at a time as there are processors: zig does not keep them all busy by itself. */
async function makeAll(zig, names, check) {
  const rows = new Map()
  const queue = [...names]
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift())
      rows.set(name, await make(zig, name, check))
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  return names.map((name) => rows.get(name))
}

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false } },
  allowPositionals: true
})
const unknown = positionals.find((name) => targets[name] === undefined)
try {
  if (unknown !== undefined)
    throw new Error(`${unknown} is none of the targets ${Object.keys(targets).join(', ')}.`)
  const zig = findZig()
  console.log(`zig ${zig.version}, ${zig.program}`)
  const table = new Table({
    head: ['target', 'bytes', 'system', 'exported', 'needs', 'seconds'],
    style: { head: [], border: [] }
  })
  table.push(
    ...(await makeAll(zig, positionals.length > 0 ? positionals : Object.keys(targets), values.check))
  )
  console.log(`${table}\n${Math.round(process.uptime())} seconds`)
  if (values.check) console.log('A second build of each, in another folder, has the same bytes.')
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
