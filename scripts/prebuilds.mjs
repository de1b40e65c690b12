// Cross-compiles the addon with zig for every system that the package has a binary for:
//
//   npm run prebuilds [-- --check] [linux-x64 win32-arm64 …]
//
// makes prebuilds/<target>/zerio.node and prints what each file exports and needs. `--check` builds everything again from a copy of the
// sources in another folder, and fails when one byte differs. What was compiled is kept in build/prebuild, and zig's own libraries in its
// cache. (npm would run a script called `prebuild` before `build`.)
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { addonOf, nodeHeaders } from './addon_sources.mjs'
import { binaryFacts } from './binary_facts.mjs'
import { compile } from './compile.mjs'
import { writeHostTable } from './windows_host.mjs'
import { findZig } from './zig.mjs'

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

const flagsOf = (tree, triple, definitions) => [
  ...['-target', triple, '-O2', '-g0', '-w'],
  ...['-fPIC', '-fno-rtti', '-fvisibility=hidden', '-DUSING_UV_SHARED=1', '-DBUILDING_NODE_EXTENSION'],
  ...definitions.map((definition) => `-D${definition}`),
  ...['-I', join(tree, 'addon'), '-isystem', nodeHeaders()],
  // No path of this machine gets into the binary.
  `-ffile-prefix-map=${tree}=.`
]

/** Builds one target of the tree `tree`; returns the bytes. */
async function build(tree, zig, name) {
  const { triple, system } = targets[name]
  const { sources, definitions } = addonOf(tree, system)
  const folder = join(tree, 'build', 'prebuild', name)
  const linkFlags = ['-shared', '-s']
  if (system === 'win') {
    const table = `build/prebuild/${name}/host_functions.cc`
    writeHostTable(tree, join(tree, table), sources)
    sources.push('addon/binding/host_windows.cc', table)
    linkFlags.push('-lws2_32', '-lmswsock')
  } else if (system === 'mac') {
    // The functions of Node.js are those of the process that loads the binary.
    linkFlags.push('-Wl,-undefined,dynamic_lookup', '-Wl,-install_name,@rpath/zerio.node')
  } else {
    const script = join(folder, 'exported.map')
    mkdirSync(folder, { recursive: true })
    writeFileSync(script, `{ global: ${EXPORTED.join('; ')}; local: *; };\n`)
    // Deno lacks functions of libuv, which are looked up when they are called first; it never calls them.
    linkFlags.push(`-Wl,--version-script=${script}`, '-Wl,--build-id=none', '-Wl,-z,lazy')
  }
  const flags = flagsOf(tree, triple, definitions)
  const compiler = [zig.program, 'c++']
  return readFileSync(
    await compile(tree, { name: 'zerio.node', folder, sources, flags, linkFlags, compiler, env: zig.env })
  )
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

/** Builds again in another folder, and says what differs. */
async function differsAgain(zig, name, bytes) {
  const tree = mkdtempSync(join(tmpdir(), 'zerio-prebuild-'))
  try {
    cpSync(join(root, 'addon'), join(tree, 'addon'), { recursive: true })
    return (await build(tree, zig, name)).equals(bytes) ? [] : ['differs from a second build']
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
  for (const name of positionals.length > 0 ? positionals : Object.keys(targets)) {
    const began = Date.now()
    const bytes = await build(root, zig, name)
    const facts = binaryFacts(bytes)
    const faults = [...faultsOf(facts, name), ...(values.check ? await differsAgain(zig, name, bytes) : [])]
    if (faults.length > 0) throw new Error(`prebuilds/${name}/zerio.node ${faults.join('; ')}.`)
    publish(name, bytes)
    const seconds = Math.round((Date.now() - began) / 1000)
    table.push([
      name,
      bytes.length,
      facts.glibc ? `glibc ${facts.glibc}` : facts.macos ? `macOS ${facts.macos}` : '-',
      facts.exported.length,
      facts.libraries.join('\n'),
      seconds
    ])
  }
  console.log(String(table))
  if (values.check) console.log('A second build of each, in another folder, has the same bytes.')
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
