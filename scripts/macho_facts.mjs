// Reads what a library of macOS needs and exports from its file: Mach-O, 64 bits, little endian, without other architectures.
import { createHash } from 'node:crypto'

/** The magic number at the beginning of the file. */
export const MACHO_MAGIC = 0xfeedfacf
const HEADER_BYTES = 32
const LOAD_DYLIB = 0x0c
const LOAD_WEAK_DYLIB = 0x80000018
const CODE_SIGNATURE = 0x1d
const BUILD_VERSION = 0x32
const DYLD_INFO = 0x80000022
const EXPORTS_TRIE = 0x80000033
const CODE_DIRECTORY = 0xfade0c02
const HASH_SHA256 = 2

const text = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at))
const versionOf = (packed) => `${packed >>> 16}.${(packed >>> 8) & 0xff}`

function loadCommands(bytes) {
  const commands = []
  let at = HEADER_BYTES
  for (let left = bytes.readUInt32LE(16); left > 0; left--) {
    commands.push({ kind: bytes.readUInt32LE(at), at })
    at += bytes.readUInt32LE(at + 4)
  }
  return commands
}

/** A number in pieces of 7 bits, and where it ends. */
function packedNumber(bytes, at) {
  let value = 0
  for (let shift = 0, i = at; ; shift += 7, i++) {
    value += (bytes[i] & 0x7f) * 2 ** shift
    if (bytes[i] < 0x80) return [value, i + 1]
  }
}

/** The names in a tree whose edges are their parts. */
function namesIn(trie, node = 0, prefix = '') {
  const [size, details] = packedNumber(trie, node)
  const names = size > 0 ? [prefix] : []
  let at = details + size
  for (let children = trie[at++]; children > 0; children--) {
    const part = text(trie, at)
    const [child, next] = packedNumber(trie, at + part.length + 1)
    names.push(...namesIn(trie, child, prefix + part))
    at = next
  }
  return names
}

/** Whether the signature has the right hash of each page, without which macOS ends a process that touches the page. */
function isSigned(bytes, signature) {
  const blobs = Array.from({ length: signature.readUInt32BE(8) }, (_, i) =>
    signature.subarray(signature.readUInt32BE(12 + i * 8 + 4))
  )
  const directory = blobs.find((blob) => blob.readUInt32BE(0) === CODE_DIRECTORY)
  if (directory === undefined || directory[37] !== HASH_SHA256) return false
  const hashes = directory.readUInt32BE(16)
  const [count, limit, hashBytes] = [directory.readUInt32BE(28), directory.readUInt32BE(32), directory[36]]
  const pageBytes = 2 ** directory[39]
  const page = (i) => bytes.subarray(i * pageBytes, Math.min((i + 1) * pageBytes, limit))
  const wanted = (i) => directory.subarray(hashes + i * hashBytes, hashes + (i + 1) * hashBytes)
  return (
    count === Math.ceil(limit / pageBytes) &&
    Array.from({ length: count }, (_, i) =>
      createHash('sha256').update(page(i)).digest().subarray(0, hashBytes).equals(wanted(i))
    ).every(Boolean)
  )
}

/** As `binaryFacts`, with the oldest macOS that loads it, and whether its signature fits; undefined when it has none. */
export function machoFacts(bytes) {
  const commands = loadCommands(bytes)
  const find = (kind) => commands.find((command) => command.kind === kind)
  const part = (at) =>
    bytes.subarray(bytes.readUInt32LE(at), bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4))
  const trie = find(EXPORTS_TRIE) ? part(find(EXPORTS_TRIE).at + 8) : part(find(DYLD_INFO).at + 40)
  const signature = find(CODE_SIGNATURE)
  return {
    // C's names have an underscore in front.
    exported: trie.length === 0 ? [] : namesIn(trie).map((name) => name.slice(1)),
    libraries: commands
      .filter(({ kind }) => kind === LOAD_DYLIB || kind === LOAD_WEAK_DYLIB)
      .map(({ at }) => text(bytes, at + bytes.readUInt32LE(at + 8))),
    macos: versionOf(bytes.readUInt32LE(find(BUILD_VERSION).at + 12)),
    signed: signature && isSigned(bytes, part(signature.at + 8))
  }
}
