// Preloaded (--require) into Windows Node.js: loads the product's addon and puts the Registered I/O emulator under it.
const { join } = require('node:path')
const root = join(__dirname, '..', '..')
require(join(root, 'prebuilds', 'win32-x64', 'zerio.node'))
if (!require(join(root, 'build', 'windows', 'rio_emulator.node')).inject())
  throw new Error('The addon does not import what the emulator replaces.')
