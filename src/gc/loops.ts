// The loops around a measured function, and what they allocate themselves.
import { misuse } from '../errors.js'
import { HeapMeter } from './heap_meter.js'

/** Results go here. V8 could otherwise see that they are not used, and not allocate them at all. */
export const kept: { result: unknown } = { result: undefined }

export function callMany(work: (i: number) => unknown, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const result = work(i)
    if (i === 0 && isPromise(result)) {
      throw misuse('ZERIO_BAD_ARGUMENT', 'The work returned a promise; use measureAsync for it.')
    }
    kept.result = result
  }
  kept.result = undefined
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

export async function awaitMany(
  work: (i: number) => PromiseLike<unknown>,
  from: number,
  to: number
): Promise<void> {
  for (let i = from; i < to; i++) await work(i)
}

let isWarm = false

/**
 * Runs the loop until V8 has compiled it, over several functions: a function that is the only one V8 has seen would become a part
 * of the loop, and the next one that is measured would not.
 */
export function warmCallMany(): void {
  if (isWarm) return
  isWarm = true
  const works = [() => undefined, (i: number) => i, () => null, () => true, (i: number) => i + 1]
  for (const work of works) callMany(work, 0, 20_000)
}

const warmUpAwaits = 20_000
const batchAwaits = 5_000
const batches = 9
let awaitBytes: number | undefined

/** What waiting for one promise allocates, without the promise: the median of some measurements, made once. */
export async function awaitOverheadBytes(): Promise<number> {
  if (awaitBytes !== undefined) return awaitBytes
  const settled = Promise.resolve()
  await awaitMany(() => settled, 0, warmUpAwaits)
  const found = new Float64Array(batches)
  for (let batch = 0; batch < batches; batch++) {
    const meter = new HeapMeter(() => {})
    meter.begin()
    await awaitMany(() => settled, 0, batchAwaits)
    meter.end()
    found[batch] = meter.heapBytes / batchAwaits
  }
  awaitBytes = found.sort()[batches >> 1]
  return awaitBytes
}
