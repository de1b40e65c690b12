// Preloaded with --require: whoever loads the addon gets the one that was built with AddressSanitizer.
const Module = require('node:module')
const { join } = require('node:path')

const usual = join(__dirname, '..', '..', '..', 'build', 'Release', 'zerio.node')
const sanitized = join(__dirname, '..', '..', '..', 'build', 'asan', 'zerio.node')
const load = Module._extensions['.node']
Module._extensions['.node'] = (module, filename) => load(module, filename === usual ? sanitized : filename)
