// What a program gets that sends something else than bytes, and how it makes bytes of what it has.
import { types } from 'node:util'
import { misuse } from '../errors.js'
import { describe } from '../options/given.js'

export function badMessage(value: unknown): Error {
  return misuse(
    'ZERIO_BAD_ARGUMENT',
    `A message must be a Uint8Array (a Buffer is one), not ${describe(value)}${wayToBytes(value)}.`
  )
}

function wayToBytes(value: unknown): string {
  if (typeof value === 'string') return '; Buffer.from(text) makes one'
  if (types.isProxy(value)) return '; pass the array behind it'
  if (types.isAnyArrayBuffer(value)) return '; new Uint8Array(memory) shows its bytes'
  if (ArrayBuffer.isView(value))
    return '; new Uint8Array(array.buffer, array.byteOffset, array.byteLength) shows its bytes'
  if (Array.isArray(value)) return '; Uint8Array.from(array) makes one'
  return value instanceof Uint8Array ? ' that only inherits from it' : ''
}
