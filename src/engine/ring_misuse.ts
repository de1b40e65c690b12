// What a program gets that uses a send ring in a wrong way.
import { misuse } from '../errors.js'
import { describe } from '../options/given.js'

export function badPart(size: number, offset: number, length: number): Error {
  return misuse(
    'ZERIO_BAD_ARGUMENT',
    `Offset and length must be integers inside the ${size} bytes given, not ${describe(offset)} and ${describe(length)}.`
  )
}

export function badLength(length: number): Error {
  return misuse('ZERIO_BAD_ARGUMENT', `A length must be a non-negative integer, not ${describe(length)}.`)
}

export function badRun(count: number): Error {
  return misuse('ZERIO_BAD_ARGUMENT', `A run has 1 message or more, not ${describe(count)}.`)
}

export function openClaim(): Error {
  return misuse(
    'ZERIO_CLAIM_OPEN',
    'A claim is open on this connection; commit or abort it before the next claim or send.'
  )
}

export function noClaim(purpose: 'commit' | 'abort'): Error {
  return misuse('ZERIO_NO_CLAIM', `There is no claim to ${purpose}; call claim first.`)
}
