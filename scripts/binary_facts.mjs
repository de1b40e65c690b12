// Reads what a shared library needs and exports from its file: ELF, PE and Mach-O, 64 bits, little endian.
import { MACHO_MAGIC, machoFacts } from './macho_facts.mjs'

const text = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at))

const SECTION_DYNAMIC = 6
const SECTION_DYNAMIC_SYMBOLS = 11
const TAG_NEEDED = 1n

function elfSections(bytes) {
  const first = Number(bytes.readBigUInt64LE(40))
  return Array.from({ length: bytes.readUInt16LE(60) }, (_, i) => {
    const at = first + i * bytes.readUInt16LE(58)
    const long = (offset) => Number(bytes.readBigUInt64LE(at + offset))
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: long(24),
      size: long(32),
      link: bytes.readUInt32LE(at + 40)
    }
  })
}

function elfFacts(bytes) {
  const sections = elfSections(bytes)
  const rows = (type, width, read) => {
    const section = sections.find((one) => one.type === type)
    const strings = sections[section.link].offset
    return Array.from({ length: section.size / width }, (_, i) => read(section.offset + i * width, strings))
  }
  const symbols = rows(SECTION_DYNAMIC_SYMBOLS, 24, (at, strings) => ({
    name: text(bytes, strings + bytes.readUInt32LE(at)),
    isDefined: bytes.readUInt16LE(at + 6) !== 0
  }))
  const libraries = rows(SECTION_DYNAMIC, 16, (at, strings) =>
    bytes.readBigInt64LE(at) === TAG_NEEDED
      ? [text(bytes, strings + Number(bytes.readBigUInt64LE(at + 8)))]
      : []
  )
  const versions = bytes.toString('latin1').match(/\bGLIBC_[\d.]+/g) ?? []
  const newest = [...new Set(versions)].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
  return {
    exported: symbols.filter(({ name, isDefined }) => isDefined && name !== '').map(({ name }) => name),
    libraries: libraries.flat(),
    glibc: newest?.slice('GLIBC_'.length)
  }
}

function peFacts(bytes) {
  const header = bytes.readUInt32LE(0x3c)
  const sections = header + 24 + bytes.readUInt16LE(header + 20)
  const count = bytes.readUInt16LE(header + 6)
  // Where an address of the loaded image is in the file.
  const at = (address) => {
    for (let section = sections; section < sections + count * 40; section += 40) {
      const start = bytes.readUInt32LE(section + 12)
      if (address >= start && address < start + bytes.readUInt32LE(section + 16))
        return address - start + bytes.readUInt32LE(section + 20)
    }
    throw new Error(`The address ${address} is in no section.`)
  }
  const directory = (index) => at(bytes.readUInt32LE(header + 24 + 112 + index * 8))
  const exports = directory(0)
  const names = at(bytes.readUInt32LE(exports + 32))
  const libraries = []
  for (let entry = directory(1); bytes.readUInt32LE(entry + 12) !== 0; entry += 20)
    libraries.push(text(bytes, at(bytes.readUInt32LE(entry + 12))))
  return {
    exported: Array.from({ length: bytes.readUInt32LE(exports + 24) }, (_, i) =>
      text(bytes, at(bytes.readUInt32LE(names + i * 4)))
    ),
    libraries
  }
}

/**
 * The names that a library exports, the libraries that it needs, the newest version of glibc that it asks for, or the oldest macOS, and
 * whether it is signed for macOS.
 */
export function binaryFacts(bytes) {
  if (bytes.readUInt32LE(0) === MACHO_MAGIC) return machoFacts(bytes)
  return bytes.toString('latin1', 1, 4) === 'ELF' ? elfFacts(bytes) : peFacts(bytes)
}
