// Builds the addon of macOS and FreeBSD on Linux, with a kqueue made of epoll (test/native/kqueue), and a copy of this tree whose
// package has that addon, for tests alone.
import { copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { addonOf, nodeHeaders } from './addon_sources.mjs'
import { compile } from './compile.mjs'

function buildAddon(root) {
  const { sources, definitions } = addonOf(root, 'mac')
  return compile(root, {
    name: 'zerio.node',
    folder: join(root, 'build', 'kqueue'),
    sources: [...sources, 'test/native/kqueue/kqueue.cc'],
    flags: [
      ...['-O2', '-fPIC', '-fvisibility=hidden'],
      ...['-isystem', nodeHeaders(), '-isystem', join(root, 'test', 'native', 'kqueue')],
      ...definitions.map((definition) => `-D${definition}`)
    ],
    linkFlags: ['-shared']
  })
}

const leftOut = ['.git', 'build', 'node_modules', 'prebuilds']

/**
 * Returns the folder of the copy, in which everything that loads the package gets the addon with kqueue: children and workers, too.
 * Throws an Error that holds what the compiler said.
 */
export async function treeWithKqueue(root) {
  const addon = await buildAddon(root)
  const tree = join(root, 'build', 'kqueue', 'tree')
  rmSync(tree, { recursive: true, force: true })
  mkdirSync(tree, { recursive: true })
  for (const name of readdirSync(root).filter((one) => !leftOut.includes(one)))
    cpSync(join(root, name), join(tree, name), {
      recursive: true,
      filter: (path) => basename(path) !== 'build'
    })
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'))
  const forTests = join('addon', 'build', 'Release')
  mkdirSync(join(tree, forTests), { recursive: true })
  copyFileSync(join(root, forTests, 'zerio_test.node'), join(tree, forTests, 'zerio_test.node'))
  for (const target of readdirSync(join(root, 'prebuilds')).filter((name) => name.startsWith('linux'))) {
    mkdirSync(join(tree, 'prebuilds', target), { recursive: true })
    copyFileSync(addon, join(tree, 'prebuilds', target, 'zerio.node'))
  }
  return tree
}
