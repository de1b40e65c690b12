// How long a message is that a program sends, and whether it can be sent at all.
import * as typedArrays from '../options/typed_arrays.js'
import { badMessage } from './bad_message.js'

// Constants of this module, as in send_ring.ts.
const { kindOf, lengthOf } = typedArrays

/** Whether it is an integer from 0 on. BigInts and symbols throw, and cost nothing that way. */
export function isCount(value: number): boolean {
  try {
    return value >>> 0 === value
  } catch {
    return false
  }
}

/** Throws unless `bytes` is what can be sent. Runs no code of the program, so that nothing changes until the message is copied. */
export function messageLength(bytes: Uint8Array): number {
  if (kindOf.call(bytes) !== 'Uint8Array') throw badMessage(bytes)
  // As in float64Length.
  void bytes[0]
  return lengthOf.call(bytes)
}

/** A message so long is sent from where it lies while nothing waits in front of it: a copy costs more than a system call of its own. */
export const STRAIGHT_BYTES_MIN = 65536
