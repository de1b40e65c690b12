// The label that a program gives a peer or a client, for its own eyes and for diagnostics.
import { misuse } from '../errors.js'
import { describe } from './given.js'

const LENGTH_MAX = 256

/** Throws `ZERIO_BAD_ARGUMENT` unless it is a label, or undefined for none. */
export function checkName(name: unknown): asserts name is string | undefined {
  if (name === undefined || (typeof name === 'string' && name.length > 0 && name.length <= LENGTH_MAX)) return
  throw misuse(
    'ZERIO_BAD_ARGUMENT',
    `A name is a string of 1 to ${LENGTH_MAX} characters, or undefined for the id, not ${describe(name)}.`
  )
}

/** For a line: the id, behind the label where there is one. */
export function labelText(name: string | undefined, id: string): string {
  return name === undefined ? id : `${name} (${id || 'no id'})`
}
