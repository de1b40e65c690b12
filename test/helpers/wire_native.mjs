// The engine's framing, handshake readers and send ring without sockets: the addon zerio_test.node, as the builds make it.

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const folder = process.platform === 'win32' ? 'build/windows' : 'addon/build/Release'
export const addonPath = fileURLToPath(new URL(`../../${folder}/zerio_test.node`, import.meta.url))
export const native = createRequire(import.meta.url)(addonPath)

export const CODE = Object.freeze({
  none: 0,
  protocolError: 1002,
  malformedHello: 1011,
  unsupportedVersion: 1012,
  invalidPeerId: 1013
})
