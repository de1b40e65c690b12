// What a build of the addon without node-gyp needs: the sources and definitions of addon/binding.gyp, and Node.js's headers.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The addon's sources and definitions for a system ('linux', 'mac' or 'win') as addon/binding.gyp of the tree `root` has them. */
export function addonOf(root, system) {
  const gyp = JSON.parse(readFileSync(join(root, 'addon', 'binding.gyp'), 'utf8'))
  const of = ({ conditions }) =>
    conditions.find(([condition]) => condition.split(' or ').includes(`OS=='${system}'`))?.[1] ?? {}
  const [zerio] = gyp.targets
  return {
    sources: [...zerio.sources, ...(of(zerio).sources ?? [])].map((source) => `addon/${source}`),
    definitions: [...gyp.target_defaults.defines, ...(of(gyp.target_defaults).defines ?? [])]
  }
}

/** The folder of node_api.h and uv.h; throws an Error that says what to set where there is none. */
export function nodeHeaders() {
  const folders = [join(dirname(dirname(process.execPath)), 'include', 'node')]
  if (process.env.NODE_HEADERS) folders.unshift(process.env.NODE_HEADERS)
  const found = folders.find((folder) => existsSync(join(folder, 'uv', 'win.h')))
  if (found === undefined)
    throw new Error(
      'There are no headers of Node.js beside this node; set NODE_HEADERS to the folder that has node_api.h.'
    )
  return found
}
