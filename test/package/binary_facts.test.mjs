// What a binary exports and needs, as scripts/binary_facts.mjs reads it from the file: of the one that is loaded here.

import { readFileSync } from 'node:fs'
import test from 'ava'
import 'zerio'
import { binaryFacts } from '../../scripts/binary_facts.mjs'

process.report.excludeNetwork = true
const loaded = process.report.getReport().sharedObjects.find((one) => /zerio\.node$/.test(one))

test('the binary exports what Node.js looks for, and is bound to no name of its host', (t) => {
  const { exported, libraries, glibc } = binaryFacts(readFileSync(loaded))
  for (const name of ['napi_register_module_v1', 'node_api_module_get_api_version_v1'])
    t.true(exported.includes(name), exported.join())
  t.true(libraries.length > 0)
  t.deepEqual(
    libraries.filter((library) => /node/i.test(library)),
    []
  )
  if (process.platform === 'linux') t.regex(glibc, /^2\.\d+(\.\d+)?$/)
})
