// Builds the addon with AddressSanitizer into build/asan, and says how to run Node.js with it.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { here, root } from './processes.mjs'

/** `--require` does it for this process and its workers; children of tests get it by NODE_OPTIONS unless they clear that. */
export const loaderFlags = ['--require', join(here, 'asan_loader.cjs')]

export function buildAsan() {
  const folder = join(root, 'build', 'asan')
  mkdirSync(folder, { recursive: true })
  const gyp = readFileSync(join(root, 'binding.gyp'), 'utf8')
  const sources = [...new Set(gyp.match(/addon\/[\w/]+\.cc/g))].filter(
    (name) => !/win|rio/.test(name.replace('addon', '')) && existsSync(join(root, name))
  )
  const nodeApi = dirname(createRequire(import.meta.url).resolve('node-addon-api/package.json'))
  const headers = join(dirname(dirname(process.execPath)), 'include', 'node')
  const flags = [
    '-std=c++20',
    '-O1',
    '-g',
    '-fno-omit-frame-pointer',
    '-fsanitize=address',
    '-fno-exceptions',
    '-fPIC',
    '-shared'
  ]
  const defines = [
    '-DNAPI_VERSION=8',
    '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
    '-DNODE_GYP_MODULE_NAME=zerio'
  ]
  const includes = ['-I.', '-isystem', nodeApi, '-isystem', headers]
  execFileSync('g++', [...flags, ...defines, ...includes, '-o', join(folder, 'zerio.node'), ...sources], {
    cwd: root,
    stdio: 'inherit'
  })
}

/** Node.js allocates much that it never frees, so leaks are not looked for here; life.mjs counts what is left behind. */
export function asanEnvironment() {
  const library = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim()
  return { LD_PRELOAD: library, ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:detect_odr_violation=0' }
}
