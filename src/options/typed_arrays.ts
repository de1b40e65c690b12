// Typed arrays as they are, whatever a program has made of them: of another realm, with properties of their own, behind a proxy.
//
// `instanceof` is false for an array of another realm (node:vm, a test runner) and true for a proxy; `length` may be a subclass's own.
// The getters of the language answer from the array itself. V8 compiles them to a few loads, also where `instanceof` stood.
import { types } from 'node:util'

type Getter<Result> = (this: unknown) => Result

function getter<Result>(of: object, name: PropertyKey): Getter<Result> {
  return Object.getOwnPropertyDescriptor(of, name)?.get as Getter<Result>
}

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object

// Not exported as they are defined: the compiler would read them from the module's object each time, and V8 could not compile them in place.
/** `'Uint8Array'` and so on; undefined for everything that is no typed array, proxies included. */
const kindOf: Getter<string | undefined> = getter(typedArray, Symbol.toStringTag)
/** The elements of a typed array: 0 when its memory was transferred away, or shrank until the array lay outside. */
const lengthOf: Getter<number> = getter(typedArray, 'length')
/** The memory of a typed array. V8 makes the object when there is none yet. */
const memoryOf: Getter<ArrayBuffer> = getter(typedArray, 'buffer')
/** Where a typed array begins in its memory, in bytes. */
const offsetOf: Getter<number> = getter(typedArray, 'byteOffset')

export { kindOf, lengthOf, memoryOf, offsetOf }

const isResizable: Getter<boolean> = getter(ArrayBuffer.prototype, 'resizable')
const isGrowable: Getter<boolean> = getter(SharedArrayBuffer.prototype, 'growable')

/** Whether arrays over this memory can change their lengths and still have one. */
export function canChangeLength(memory: ArrayBuffer | SharedArrayBuffer): boolean {
  return types.isSharedArrayBuffer(memory) ? isGrowable.call(memory) : isResizable.call(memory)
}

/** The elements of a Float64Array of any realm; -1 for everything else. Runs no code of the program. */
export function float64Length(array: Float64Array): number {
  if (kindOf.call(array) !== 'Float64Array') return -1
  // After an access by index V8 knows what the array is, and the length is a load instead of a call of 3 ns.
  void array[0]
  return lengthOf.call(array)
}
