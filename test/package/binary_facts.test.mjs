// What a binary exports and needs, as scripts/binary_facts.mjs reads it from the file: of the one that is loaded here, and of macOS.

import { createHash } from 'node:crypto'
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

/** A library of macOS that exports `name`, needs `library`, and is signed; as small as the format allows. */
function smallMacho(name, library) {
  const words = (...values) => Buffer.from(Uint32Array.from(values).buffer)
  const bigEndian = (...values) =>
    Buffer.from(values.flatMap((value) => [value >>> 24, value >>> 16, value >>> 8, value]))
  const path = Buffer.alloc(40)
  path.write(library)
  // The root has one child, which is an export of two bytes and has no children.
  const edge = Buffer.from(`_${name}\0`)
  const trie = Buffer.concat([Buffer.from([0, 1]), edge, Buffer.from([2 + edge.length + 1, 2, 0, 0, 0])])
  const commandBytes = 24 + 24 + path.length + 16 + 16
  const trieAt = 32 + commandBytes
  const limit = trieAt + trie.length
  const bytes = Buffer.concat([
    words(0xfeedfacf, 0x0100000c, 0, 6, 4, commandBytes, 0, 0),
    ...[words(0x32, 24, 1, 0x000b0300, 0x000b0300, 0), words(0x0c, 24 + path.length, 24, 0, 0, 0), path],
    ...[words(0x80000033, 16, trieAt, trie.length), words(0x1d, 16, limit, 20 + 44 + 32), trie]
  ])
  const directory = bigEndian(0xfade0c02, 44 + 32, 0x20400, 2, 44, 0, 0, 1, limit)
  const kinds = Buffer.from([32, 2, 0, 12, 0, 0, 0, 0])
  const hash = createHash('sha256').update(bytes).digest()
  return Buffer.concat([bytes, bigEndian(0xfade0cc0, 20 + 44 + 32, 1, 0, 20), directory, kinds, hash])
}

test('of a binary of macOS the names, libraries, version and signature are read', (t) => {
  const bytes = smallMacho('napi_register_module_v1', '/usr/lib/libSystem.B.dylib')
  t.deepEqual(binaryFacts(bytes), {
    exported: ['napi_register_module_v1'],
    libraries: ['/usr/lib/libSystem.B.dylib'],
    macos: '11.3',
    signed: true
  })
  bytes[40] ^= 1
  t.false(binaryFacts(bytes).signed)
})
