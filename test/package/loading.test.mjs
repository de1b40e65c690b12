// What the import says when the native engine cannot be loaded: one sentence for each cause, with what to do.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compileFunction } from 'node:vm'
import test from 'ava'
import 'zerio'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Where the engine lies, wherever the build puts it: what this process has loaded, beside the addons of other tests. */
process.report.excludeNetwork = true
const binary = process.report
  .getReport()
  .sharedObjects.find((one) => one.startsWith(root.slice(0, -1) + sep) && one.endsWith(`${sep}zerio.node`))

/** A copy of the package in a folder of its own; `change` makes another engine of the real one's bytes, or none. */
function packageWith(t, change) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-loading-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  const bytes = change(readFileSync(binary, 'latin1'))
  if (bytes !== undefined) {
    const path = join(folder, relative(root, binary))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes, 'latin1')
  }
  return folder
}

/** What loading the package in `folder` throws; `before` is run first in the same process. */
function errorOf(folder, { flags = [], before = '' } = {}) {
  const source = `${before}
    try { require(${JSON.stringify(join(folder, 'dist', 'index.js'))}); console.log('{}') }
    catch (error) { console.log(JSON.stringify({ ...error, name: error.name, message: error.message, cause: error.cause?.code })) }`
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '--eval', source], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' }
  })
  try {
    return JSON.parse(stdout)
  } catch {
    throw new Error(`${stdout}${stderr}`)
  }
}

const sameBytes = (bytes) => bytes
const noBytes = () => undefined

/** Makes a process believe that its C library is musl. */
const musl = `
  const fs = require('node:fs')
  const { existsSync } = fs
  fs.existsSync = (path) => String(path).startsWith('/lib/ld-musl-') || existsSync(path)
  process.report.getReport = () => ({ header: {} });`

function pretend(what) {
  return Object.entries(what)
    .map(([name, value]) => `Object.defineProperty(process, '${name}', { value: '${value}' });`)
    .join('')
}

test('a copy of the package works', (t) => {
  t.deepEqual(errorOf(packageWith(t, sameBytes)), {})
})

test('the import names a package without an engine', (t) => {
  const folder = packageWith(t, noBytes)
  const error = errorOf(folder)
  t.like(error, { name: 'ZerioError', code: 'ZERIO_NO_BINARY', cause: 'MODULE_NOT_FOUND' })
  t.regex(error.message, /damaged.*Install the package anew/)
})

test('the import names a machine without an engine', (t) => {
  const folder = packageWith(t, noBytes)
  const other = errorOf(folder, { before: pretend({ platform: 'aix', arch: 'ppc64' }) })
  t.is(other.code, 'ZERIO_NO_BINARY')
  t.regex(
    other.message,
    /no native engine for aix-ppc64, only for linux-x64, .* and win32-arm64; elsewhere build it/
  )
})

test('the import takes the engine for musl where the C library is musl', (t) => {
  const folder = packageWith(t, sameBytes)
  const missing = errorOf(folder, { before: musl })
  t.is(missing.code, 'ZERIO_NO_BINARY')
  t.regex(missing.message, /linux-\w+-musl\/zerio\.node: the package is damaged/)
  renameSync(
    dirname(join(folder, relative(root, binary))),
    join(folder, 'prebuilds', `linux-${process.arch}-musl`)
  )
  t.deepEqual(errorOf(folder, { before: musl }), {})
  t.regex(errorOf(folder).message, /linux-\w+\/zerio\.node: the package is damaged/)
})

test('the import takes no notice of a musl that is only installed', (t) => {
  const installed = musl.replace(/process\.report.*/, '')
  t.deepEqual(errorOf(packageWith(t, sameBytes), { before: installed }), {})
})

test('the import names musl, for which an engine was built that is not for this system', (t) => {
  const folder = packageWith(t, (bytes) => bytes.replaceAll('libc.so.6\0', 'libc.so\0\0\0'))
  const { code, message } = errorOf(folder)
  t.is(code, 'ZERIO_NO_BINARY')
  t.regex(message, /was built for musl, and this process runs with glibc\. Install the package anew/)
})

test('the import names an engine for another machine', (t) => {
  // The machine in the header of an ELF file becomes 64-bit ARM.
  const folder = packageWith(t, (bytes) => `${bytes.slice(0, 18)}\xb7${bytes.slice(19)}`)
  const { code, message, cause } = errorOf(folder)
  t.is(code, 'ZERIO_NO_BINARY')
  t.is(cause, 'ERR_DLOPEN_FAILED')
  t.regex(message, /cannot be loaded on \S+: .*damaged or was built for another system/)
  const other = errorOf(folder, { before: pretend({ arch: 'riscv64' }) })
  t.regex(other.message, /no native engine for linux-riscv64/)
})

test('the import names a C or C++ library that is too old', (t) => {
  // Other versions than those that the engine asks for, which no library has under their hashes.
  const folder = packageWith(t, (bytes) => bytes.replaceAll(/(GLIBC(?:XX)?_\d[\d.]*)\d\0/g, '$19\0'))
  const { code, message } = errorOf(folder)
  t.is(code, 'ZERIO_NO_BINARY')
  t.regex(
    message,
    /needs GLIBC(XX_[\d.]+9, which the C\+\+ library \(libstdc\+\+\)|_[\d.]+9, which the C library \(glibc\))/
  )
})

test('the import names an engine of another build', (t) => {
  const folder = packageWith(t, (bytes) => bytes.replaceAll('Layout.SlotBytes\0', 'Layout.SlotBytez\0'))
  const { name, code, message } = errorOf(folder)
  t.is(name, 'ZerioError')
  t.is(code, 'ZERIO_NO_BINARY')
  t.regex(message, /another build.*Layout\.SlotBytes.*Install the package anew/)
})

test('the import names a bundler that left the engine out', (t) => {
  const folder = packageWith(t, noBytes)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app' }))
  const { code, message } = errorOf(folder)
  t.is(code, 'ZERIO_NO_BINARY')
  t.regex(message, /bundler.*mark zerio as external/)
  rmSync(join(folder, 'package.json'))
  t.regex(errorOf(folder).message, /mark zerio as external/)
})

test('the import names an engine that may not be read, or mapped', (t) => {
  // The words of the system's loader, and of Deno.
  const refusal = (words) =>
    `process.dlopen = (_, path) => { throw new Error(${JSON.stringify(words)}.replace('PATH', path)) };`
  for (const [words, code, advice] of [
    ['PATH: failed to map segment from shared object', 'ZERIO_NO_BINARY', /noexec.*mount this one with exec/],
    [
      'PATH: cannot open shared object file: Permission denied',
      'ZERIO_NO_BINARY',
      /may not read it\. Give it the right/
    ],
    [
      'Requires ffi access to "PATH", run again with the --allow-ffi flag',
      'ZERIO_ADDONS_FORBIDDEN',
      /--allow-ffi and --allow-read/
    ]
  ]) {
    const error = errorOf(packageWith(t, sameBytes), { before: refusal(words) })
    t.is(error.code, code, words)
    t.regex(error.message, advice)
    t.notRegex(error.message, /damaged/)
  }
})

test('a bundle that is an ES module names the bundler, too', (t) => {
  // There is no __dirname in it.
  const path = join(root, 'dist', 'engine', 'native.js')
  const run = compileFunction(readFileSync(path, 'utf8'), ['require', 'exports', 'module'])
  const module = { exports: {} }
  t.throws(() => run(createRequire(path), module.exports, module), {
    code: 'ZERIO_NO_BINARY',
    message: /bundler.*mark zerio as external/
  })
})

test('the import says that addons are forbidden', (t) => {
  const folder = packageWith(t, sameBytes)
  const none = errorOf(folder, { flags: ['--no-addons'] })
  t.like(none, { name: 'ZerioError', code: 'ZERIO_ADDONS_FORBIDDEN', cause: 'ERR_DLOPEN_DISABLED' })
  t.regex(none.message, /--no-addons; start it without/)
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'
  const without = errorOf(folder, { flags: [permission, '--allow-fs-read=*'] })
  t.like(without, { code: 'ZERIO_ADDONS_FORBIDDEN', cause: 'ERR_DLOPEN_DISABLED' })
  t.regex(without.message, /--permission; start it with --allow-addons/)
  t.deepEqual(errorOf(folder, { flags: [permission, '--allow-fs-read=*', '--allow-addons'] }), {})
})
