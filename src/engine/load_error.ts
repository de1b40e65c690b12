// Why the addon cannot be loaded: each cause with its own sentence, because what helps differs.
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ZerioError } from '../errors.js'
import { hasMusl, permissionModel, targets, thisTarget } from './target.js'

const BUILD = '"npx node-gyp rebuild -C node_modules/zerio/addon"'
const listed = `${targets.slice(0, -1).join(', ')} and ${targets.at(-1)}`
const FROM_SOURCE = `elsewhere build it with ${BUILD}`

/** The error for an addon at `path` that `require` refused with `cause`. */
export function loadError(path: string, cause: unknown): ZerioError {
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown }
  const words = typeof message === 'string' ? message : String(cause)
  if (code === 'ERR_DLOPEN_DISABLED') return new ZerioError('ZERIO_ADDONS_FORBIDDEN', forbidden(), { cause })
  if (code === 'ERR_ACCESS_DENIED') {
    return new ZerioError(
      'ZERIO_ADDONS_FORBIDDEN',
      `This process may not read the native engine ${path}, because Node.js runs with --permission. Start it with --allow-addons, and with --allow-fs-read for the folder of the package.`,
      { cause }
    )
  }
  // Deno.
  if (/requires ffi access/i.test(words)) {
    return new ZerioError(
      'ZERIO_ADDONS_FORBIDDEN',
      `This process may not load the native engine ${path}. Start Deno with --allow-ffi and --allow-read.`,
      { cause }
    )
  }
  return new ZerioError('ZERIO_NO_BINARY', notLoadable(path, words), { cause })
}

const LEFT_OUT =
  "A bundler has probably put zerio's JavaScript into another file and left the engine out: mark zerio as external in its configuration (esbuild: --external:zerio), and install it beside the bundle."

/** The error for a bundle that cannot say where the engine is. */
export function engineLeftOut(): ZerioError {
  return new ZerioError('ZERIO_NO_BINARY', `The native engine is not beside this file. ${LEFT_OUT}`)
}

function forbidden(): string {
  const why = permissionModel()
    ? 'because Node.js runs with --permission; start it with --allow-addons, too'
    : 'because Node.js, or this worker, runs with --no-addons; start it without'
  return `The native engine of zerio is an addon, and this process may not load addons, ${why}.`
}

function notLoadable(path: string, words: string): string {
  const target = thisTarget()
  if (isMissing(path)) {
    if (!isPackage()) {
      return `The native engine is not at ${path}. ${LEFT_OUT}`
    }
    return targets.includes(target)
      ? `The native engine is not at ${path}: the package is damaged, or a checkout that was not built. Install the package anew, or build the engine with ${BUILD}; in a checkout run "npm run build".`
      : `The package has no native engine for ${target}, only for ${listed}; ${FROM_SOURCE}.`
  }
  const other = otherLibrary(words)
  if (other !== undefined) {
    return `The native engine at ${path} was built for ${other}, and this process runs with ${hasMusl() ? 'musl' : 'glibc'}. Install the package anew on this system instead of copying node_modules from another one, or build it with ${BUILD}.`
  }
  const lacking = /[`']((?:GLIBCXX|GLIBC|CXXABI)_[\d.]+)'? not found/.exec(words)
  if (lacking !== null) {
    const library = lacking[1].startsWith('GLIBC_') ? 'C library (glibc)' : 'C++ library (libstdc++)'
    return `The native engine needs ${lacking[1]}, which the ${library} of this system is too old for. Use a newer system, or build it on this one with ${BUILD}.`
  }
  if (/failed to map segment|operation not permitted/i.test(words)) {
    return `The native engine at ${path} cannot be loaded, because its file system is mounted without the right to run programs (noexec). Install the package on another one, or mount this one with exec.`
  }
  if (/permission denied|EACCES/i.test(words)) {
    return `The native engine at ${path} cannot be loaded, because the user of this process may not read it. Give it the right to, for the file and the folders above it.`
  }
  if (!targets.includes(target)) {
    return `The native engine at ${path} is not for ${target}: the package has it for ${listed}; ${FROM_SOURCE}.`
  }
  const library = /^(\S+\.so[\d.]*): cannot open shared object file/.exec(words)
  if (library !== null) return `The native engine needs ${library[1]}, which this system lacks; install it.`
  return `The native engine at ${path} cannot be loaded on ${target}: ${words.split('\n', 1)[0]}. It is damaged or was built for another system: install the package anew; in a checkout run "npm run build".`
}

/** Whether there is nothing. A folder above it may hide it from this user. */
function isMissing(path: string): boolean {
  try {
    statSync(path)
    return false
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
  }
}

/** The C library that a binary wants when the system's loader refused it because it has the other one. */
function otherLibrary(words: string): 'musl' | 'glibc' | undefined {
  if (hasMusl()) return /ld-linux|libc\.so\.6/.test(words) ? 'glibc' : undefined
  return /libc\.so:|libc\.musl|ld-musl/.test(words) ? 'musl' : undefined
}

/** Whether this file lies in the package, and not in what a bundler has made of it. */
function isPackage(): boolean {
  try {
    return JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')).name === 'zerio'
  } catch {
    return false
  }
}
