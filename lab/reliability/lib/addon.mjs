// Builds the addon in another way than the published one, and says how to run Node.js with it.

import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { here, inParallel, root } from './processes.mjs'

const execute = promisify(execFile)

/** Compiles the addon of `tree` into `folder` and returns its path. */
export async function buildAddon(tree, folder, flags) {
  mkdirSync(folder, { recursive: true })
  const [target] = JSON.parse(readFileSync(join(root, 'addon', 'binding.gyp'), 'utf8')).targets
  const [, linux] = target.conditions.find(([condition]) => condition === "OS=='linux'")
  const sources = [...target.sources, ...linux.sources].map((source) => `addon/${source}`)
  const headers = join(dirname(dirname(process.execPath)), 'include', 'node')
  const all = [
    ...['-std=c++20', '-g', '-fPIC', ...flags],
    ...['-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=zerio', '-isystem', headers]
  ]
  const objectOf = (name) => join(folder, `${name.replaceAll('/', '-')}.o`)
  await inParallel(sources, availableParallelism(), (name) =>
    execute('g++', [...all, '-c', name, '-o', objectOf(name)], { cwd: tree })
  )
  const addon = join(folder, 'zerio.node')
  await execute('g++', ['-shared', ...flags, '-o', addon, ...sources.map(objectOf)], { cwd: tree })
  return addon
}

/** What makes Node.js, its workers and its children load this addon. */
export function addonEnvironment(addon) {
  return { ZERIO_LABORATORY_ADDON: addon, NODE_OPTIONS: `--require ${join(here, 'addon_loader.cjs')}` }
}

/** With AddressSanitizer and UndefinedBehaviorSanitizer. */
export const buildSanitized = () =>
  buildAddon(root, join(root, 'build', 'sanitized'), [
    ...['-O1', '-fno-omit-frame-pointer'],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
  ])

/** Node.js frees little at its end, so leaks are not looked for here; life.mjs counts what is left behind. */
export function sanitizerEnvironment() {
  const library = (name) => execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim()
  return {
    LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:detect_odr_violation=0',
    UBSAN_OPTIONS: 'print_stacktrace=1'
  }
}
