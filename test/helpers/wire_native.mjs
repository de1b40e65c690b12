// The engine's framing, handshake readers and send ring without sockets: the addon zerio_test.node, from beside the product's.

import { createRequire } from 'node:module'

const folder = process.platform === 'win32' ? 'windows' : 'Release'
export const native = createRequire(import.meta.url)(`../../build/${folder}/zerio_test.node`)

export const CODE = Object.freeze({
  none: 0,
  protocolError: 1002,
  malformedHello: 1011,
  unsupportedVersion: 1012,
  invalidPeerId: 1013
})
