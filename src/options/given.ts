// Objects and values that programs hand over. Nothing of them is trusted to answer: a getter or a proxy may throw.
import { types } from 'node:util'
import { type MisuseCode, misuse, printableText, ZerioError } from '../errors.js'

/** Options with everything in them; `Required` would keep the `undefined` where the compiler has `exactOptionalPropertyTypes`. */
export type Complete<T> = { [Name in keyof T]-?: Exclude<T[Name], undefined> }

/** What to say of an object that is not as it should be. */
export interface Complaints {
  readonly code: MisuseCode
  /** The sentence for what is no object with properties. */
  notAnObject(given: string): string
  /** The sentence for a property that is not one of the names. */
  unknown(name: string): string
}

/**
 * What `given` has under `names`, its own and what it inherits; each property is read once. One that is undefined is one that is not
 * there. Throws for names that are not known, of the object's own enumerable ones, and for what cannot be read.
 */
export function readProperties(
  given: unknown,
  names: readonly string[],
  complaints: Complaints
): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  if (!isPlain(given)) throw misuse(complaints.code, complaints.notAnObject(describe(given)))
  for (const name of attempt('its names', complaints.code, () => Object.keys(given))) {
    if (names.includes(name)) continue
    if (attempt(`"${name}"`, complaints.code, () => given[name]) !== undefined)
      throw misuse(complaints.code, complaints.unknown(name))
  }
  for (const name of names) {
    const value = attempt(`"${name}"`, complaints.code, () => given[name])
    if (value !== undefined) found[name] = value
  }
  return found
}

/** Whether it is an object at all. */
export function isObject(given: unknown): given is object {
  return typeof given === 'object' && given !== null
}

/** Whether it can be meant as an object with properties: an array, a Map, a Date or a promise is a mistake. */
function isPlain(given: unknown): given is Record<string, unknown> {
  if (!isObject(given)) return false
  if (types.isProxy(given)) return true
  if (Array.isArray(given) || ArrayBuffer.isView(given) || types.isAnyArrayBuffer(given)) return false
  return !(
    types.isMap(given) ||
    types.isSet(given) ||
    types.isPromise(given) ||
    types.isDate(given) ||
    types.isRegExp(given) ||
    types.isNativeError(given)
  )
}

function attempt<T>(what: string, code: MisuseCode, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new ZerioError(code, `The object given threw at the reading of ${what}; see the cause.`, { cause })
  }
}

/** A value as an error's sentence names it. Never throws. */
export function describe(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 40
      ? `a string of ${value.length} characters`
      : `'${printableText(JSON.stringify(value).slice(1, -1))}'`
  if (isObject(value)) return describeObject(value)
  if (typeof value === 'bigint') return `${value}n`
  return typeof value === 'function' ? 'a function' : String(value)
}

function describeObject(value: object): string {
  if (types.isProxy(value)) return 'a proxy'
  try {
    const name: unknown = value.constructor?.name ?? 'null'
    return typeof name === 'string' ? `an object of type ${name}` : 'an object'
  } catch {
    return 'an object'
  }
}

/** Throws `ZERIO_BAD_ARGUMENT` for a handler that is no function. */
export function checkHandler(name: string, handler: unknown): void {
  if (typeof handler !== 'function')
    throw misuse('ZERIO_BAD_ARGUMENT', `${name} must be a function or null, not ${describe(handler)}.`)
}
