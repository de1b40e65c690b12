// Builds the addon of macOS and FreeBSD for Linux over libkqueue, which does with epoll what kqueue does there: build/kqueue/zerio.node,
// for tests alone.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { addonOf, nodeHeaders } from './addon_sources.mjs'
import { compile } from './compile.mjs'

/** What pkg-config knows of libkqueue; undefined where it is not installed. PKG_CONFIG_PATH names other folders. */
function libkqueue(...what) {
  const { status, stdout } = spawnSync('pkg-config', [...what, 'libkqueue'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim().split(/\s+/) : undefined
}

/** Its version; undefined where it is not installed. */
export const libkqueueVersion = () => libkqueue('--modversion')?.[0]

/** Returns the path of the addon; throws an Error that says what the compiler said. */
export async function buildKqueueAddon(root) {
  const { sources, definitions } = addonOf(root, 'mac')
  const [folder] = libkqueue('--variable=libdir')
  return compile(root, {
    name: 'zerio.node',
    folder: join(root, 'build', 'kqueue'),
    sources,
    flags: [
      ...['-O2', '-fPIC', '-fvisibility=hidden', '-isystem', nodeHeaders()],
      ...definitions.map((definition) => `-D${definition}`),
      ...libkqueue('--cflags').map((flag) => flag.replace(/^-I/, '-isystem'))
    ],
    linkFlags: ['-shared', ...libkqueue('--libs'), `-Wl,-rpath,${folder}`]
  })
}
