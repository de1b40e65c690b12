// Preloaded with --require: every load of the addon gets the one that ZERIO_LABORATORY_ADDON names.
const Module = require('node:module')
const { join } = require('node:path')

const root = join(__dirname, '..', '..', '..')
const usual = join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'zerio.node')
const load = Module._extensions['.node']
Module._extensions['.node'] = (module, filename) =>
  load(module, filename === usual ? process.env.ZERIO_LABORATORY_ADDON : filename)
