// Builds the addon in another way than the published one, and says how to run Node.js with it.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { compile } from '../../../scripts/compile.mjs'
import { here, root } from './processes.mjs'

/** Compiles what has changed of the addon of `tree` into `folder`, and returns its path. */
export function buildAddon(tree, folder, flags) {
  const [target] = JSON.parse(readFileSync(join(root, 'addon', 'binding.gyp'), 'utf8')).targets
  const [, linux] = target.conditions.find(([condition]) => condition === "OS=='linux'")
  const headers = join(dirname(dirname(process.execPath)), 'include', 'node')
  return compile(tree, {
    name: 'zerio.node',
    folder,
    sources: [...target.sources, ...linux.sources].map((source) => join('addon', source)),
    // The build of the package shows the warnings.
    flags: [
      ...['-w', '-fPIC', ...flags],
      ...['-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=zerio', '-isystem', headers]
    ],
    linkFlags: ['-shared'],
    compiler: 'g++'
  })
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
