// Preloaded (--require) into Windows Node.js: loads the product's addon and puts the Registered I/O emulator under it.
const { join } = require('node:path')
const built = join(__dirname, '..', '..', 'build', 'windows')
require(join(built, 'zerio.node'))
if (!require(join(built, 'rio_emulator.node')).inject())
  throw new Error('The addon does not import what the emulator replaces.')
