// Why the addon cannot be loaded: each cause with its own sentence, because what helps differs.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ZerioError } from '../errors.js'

/** What the package has binaries for, as platform, architecture and, on Linux, C library. */
const targets = ['linux-x64-glibc', 'win32-x64']

const BUILD = '"npx node-gyp rebuild -C node_modules/zerio/addon"'
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
  return new ZerioError('ZERIO_NO_BINARY', notLoadable(path, words), { cause })
}

function forbidden(): string {
  const why = permissionModel()
    ? 'because Node.js runs with --permission; start it with --allow-addons, too'
    : 'because Node.js, or this worker, runs with --no-addons; start it without'
  return `The native engine of zerio is an addon, and this process may not load addons, ${why}.`
}

function permissionModel(): boolean {
  return 'permission' in process && process.permission !== undefined
}

function notLoadable(path: string, words: string): string {
  const target = thisTarget()
  if (!existsSync(path)) {
    if (!isPackage()) {
      return `The native engine is not at ${path}. A bundler has probably put zerio's JavaScript into another file and left the engine out: mark zerio as external in its configuration (esbuild: --external:zerio), and install it beside the bundle.`
    }
    return targets.includes(target)
      ? `The native engine is not at ${path}: the package is damaged, or a checkout that was not built. Install the package anew, or build the engine with ${BUILD}; in a checkout run "npm run build".`
      : `The package has no native engine for ${target}, only for ${targets.join(' and ')}; ${FROM_SOURCE}.`
  }
  const lacking = /[`']((?:GLIBCXX|GLIBC|CXXABI)_[\d.]+)'? not found/.exec(words)
  if (lacking !== null) {
    const library = lacking[1].startsWith('GLIBC_') ? 'C library (glibc)' : 'C++ library (libstdc++)'
    return `The native engine needs ${lacking[1]}, which the ${library} of this system is too old for. Use a newer system, or build it on this one with ${BUILD}.`
  }
  if (!targets.includes(target)) {
    return `The native engine at ${path} is not for ${target}: the package has it for ${targets.join(' and ')}; ${FROM_SOURCE}.`
  }
  const library = /^(\S+\.so[\d.]*): cannot open shared object file/.exec(words)
  if (library !== null) return `The native engine needs ${library[1]}, which this system lacks; install it.`
  return `The native engine at ${path} cannot be loaded on ${target}: ${words.split('\n', 1)[0]}. It is damaged or was built for another system: install the package anew; in a checkout run "npm run build".`
}

/** Whether this file lies in the package, and not in what a bundler has made of it. */
function isPackage(): boolean {
  try {
    return JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')).name === 'zerio'
  } catch {
    return false
  }
}

function thisTarget(): string {
  const machine = `${process.platform}-${process.arch}`
  return process.platform === 'linux' ? `${machine}-${hasGlibc() ? 'glibc' : 'musl'}` : machine
}

interface ReportHeader {
  readonly header: { readonly glibcVersionRuntime?: string }
}

/** The report of a process names its glibc; with musl it names none. */
function hasGlibc(): boolean {
  const report = process.report as
    | (NodeJS.ProcessReport & { excludeNetwork?: boolean; getReport(): unknown })
    | undefined
  if (report === undefined) return true
  // Looking up the names of all sockets can take seconds.
  const { excludeNetwork } = report
  report.excludeNetwork = true
  try {
    return (report.getReport() as ReportHeader).header.glibcVersionRuntime !== undefined
  } catch {
    return true
  } finally {
    report.excludeNetwork = excludeNetwork
  }
}
