// Options of probes: their defaults, units and ranges, and the check of what the program passes.
import { misuse } from '../errors.js'
import { type Complete, describe, readProperties } from '../options/given.js'

/** Options of a {@link GcProbe}. */
export interface GcProbeOptions {
  /**
   * Sample who allocates, every so many bytes on average; 0 (do not) or 512 to 2^30, default 32,768. While several probes of a
   * thread sample, the first one decides for all.
   */
  samplingBytes?: number | undefined
  /** How many functions the report names; 0 to 1,000, default 10. */
  topAllocators?: number | undefined
  /**
   * Count the memory of Buffers and ArrayBuffers, default true. It has V8 free such memory inside of collections, so that pauses
   * of programs that drop many Buffers become longer; with `false` collections are as without the probe.
   */
  external?: boolean | undefined
  /** How often to look for the event loop's delay, in milliseconds; 0 (never) to 1,000, default 10. */
  loopResolutionMs?: number | undefined
}

/** Options of {@link GcProbe.measure} and {@link GcProbe.measureAsync}. */
export interface GcMeasureOptions extends GcProbeOptions {
  /** Measured calls, fewer when the time is over; 1 to 2^30, default 100,000. */
  operations?: number | undefined
  /**
   * Calls before the measured ones; 0 to 2^30. By default as many as V8 needs to compile the function, which is when several rounds
   * allocate the same: at least 20,000 calls and 50 ms, at most half of the time.
   */
  warmup?: number | undefined
  /** How long warm-up and measured calls may take together, in milliseconds; 1 to 3,600,000, default 5,000. One call is not cut. */
  timeLimitMs?: number | undefined
}

/** Options of {@link GcProbe.compare}. */
export interface GcCompareOptions extends Pick<GcMeasureOptions, 'operations' | 'warmup' | 'external'> {
  /** How often each function is measured; 5 to 30, default 7. */
  rounds?: number | undefined
  /** How long all rounds of a function may take, in milliseconds; 1 to 3,600,000, default 5,000. */
  timeLimitMs?: number | undefined
}

export type ResolvedProbeOptions = Complete<GcProbeOptions>
export type ResolvedMeasureOptions = Complete<Omit<GcMeasureOptions, 'warmup'>> &
  Pick<GcMeasureOptions, 'warmup'>

const probeDefaults: ResolvedProbeOptions = {
  samplingBytes: 32_768,
  topAllocators: 10,
  external: true,
  loopResolutionMs: 10
}
const measureDefaults: ResolvedMeasureOptions = {
  ...probeDefaults,
  operations: 100_000,
  warmup: undefined,
  timeLimitMs: 5_000
}

const compareDefaults = {
  operations: measureDefaults.operations,
  warmup: measureDefaults.warmup,
  external: true,
  rounds: 7,
  timeLimitMs: 5_000
}

const countMax = 2 ** 30
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  samplingBytes: [0, countMax],
  topAllocators: [0, 1_000],
  loopResolutionMs: [0, 1_000],
  operations: [1, countMax],
  warmup: [0, countMax],
  timeLimitMs: [1, 3_600_000],
  rounds: [5, 30]
}
/** With a smaller interval V8 would sample nearly each object, and most of the time would be the profiler's. */
const samplingBytesMin = 512

function resolve<T extends object>(given: unknown, defaults: T): T {
  const result = { ...defaults } as Record<string, unknown>
  if (given === undefined) return result as T
  const names = Object.keys(defaults)
  const found = readProperties(given, names, {
    code: 'ZERIO_BAD_OPTION',
    notAnObject: (what) => `Options must be an object, not ${what}.`,
    unknown: (name) => `There is no option "${name}"; there are ${names.join(', ')}.`
  })
  for (const [name, value] of Object.entries(found)) {
    check(name, value)
    result[name] = value
  }
  return result as T
}

function check(name: string, value: unknown): void {
  const bad = (expected: string) =>
    misuse('ZERIO_BAD_OPTION', `Option "${name}" must be ${expected}, not ${describe(value)}.`)
  if (name === 'external') {
    if (typeof value !== 'boolean') throw bad('a boolean')
    return
  }
  const [min, max] = ranges[name]
  const number = Number.isInteger(value) ? (value as number) : Number.NaN
  if (!(number >= min && number <= max)) throw bad(`an integer from ${min} to ${max}`)
  if (name === 'samplingBytes' && number > 0 && number < samplingBytesMin) {
    throw bad(`0 or an integer from ${samplingBytesMin} to ${max}`)
  }
}

export function resolveProbeOptions(given: unknown): ResolvedProbeOptions {
  return resolve(given, probeDefaults)
}

export function resolveMeasureOptions(given: unknown): ResolvedMeasureOptions {
  return resolve(given, measureDefaults)
}

export function resolveCompareOptions(given: unknown): typeof compareDefaults {
  return resolve(given, compareDefaults)
}
