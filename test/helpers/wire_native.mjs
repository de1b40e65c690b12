// The engine's framing, handshake readers and send ring without sockets: build/Release/zerio_test.node.

import { createRequire } from 'node:module'

export const native = createRequire(import.meta.url)('../../build/Release/zerio_test.node')

export const CODE = Object.freeze({
  none: 0,
  protocolError: 1002,
  malformedHello: 1011,
  unsupportedVersion: 1012,
  invalidPeerId: 1013
})
