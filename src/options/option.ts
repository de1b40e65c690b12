// How an option is declared: type, unit, range, default and one sentence. The check, the types and docs/options.md come from this.
import { misuse, type ZerioError } from '../errors.js'
import { describe, isObject } from './given.js'

interface Described {
  /** What it does: one sentence, or a few where one is not enough. */
  readonly text: string
  /** What docs/options.md says beside it, in Markdown: where to read more. */
  readonly see?: string
  /** Whether it can change while there is a connection. */
  readonly live?: true
}

/** One of a few strings. */
export interface Choice<Value extends string> extends Described {
  readonly kind: 'choice'
  readonly values: readonly Value[]
  readonly default: Value
  /** The name of the type that has these values, where programs need one, and its docstring. */
  readonly type?: { readonly name: string; readonly text: string }
}

/** A whole number. */
export interface Integer extends Described {
  readonly kind: 'integer'
  readonly unit: 'bytes' | 'milliseconds' | 'microseconds' | 'connections' | 'keys' | 'percent'
  readonly min: number
  readonly max: number
  readonly default: number
  /** The smallest number beside 0, which then switches something off. */
  readonly minBesideZero?: number
  readonly multipleOf?: number
  /** What 0 means, where it means something of its own. */
  readonly zero?: string
  /** The range and the default in words, where they depend on other options. */
  readonly rangeText?: string
  readonly defaultText?: string
}

/** True or false. */
export interface Flag extends Described {
  readonly kind: 'flag'
  readonly default: boolean
}

/** Anything else. */
export interface Special<Value, Default = Value> extends Described {
  readonly kind: 'special'
  /** Its type, as TypeScript writes it. */
  readonly type: string
  /** As in "must be a function". */
  readonly expected: string
  readonly rangeText: string
  readonly default: Default
  readonly defaultText: string
  isValid(value: unknown): value is Value
}

export type Option = Choice<string> | Integer | Flag | Special<unknown>

/** The options of one scope, in the order in which they are checked and named. */
export type OptionTable = Readonly<Record<string, Option>>

type ValueOf<Of> =
  Of extends Choice<infer Value>
    ? Value
    : Of extends Integer
      ? number
      : Of extends Flag
        ? boolean
        : Of extends Special<infer Value, infer Default>
          ? Value | Default
          : never

/** What a program passes. */
export type Given<Table> = { [Name in keyof Table]?: ValueOf<Table[Name]> | undefined }

/** The same with everything in it. */
export type Resolved<Table> = { -readonly [Name in keyof Table]: ValueOf<Table[Name]> }

export function choice<const Value extends string>(of: Omit<Choice<Value>, 'kind'>): Choice<Value> {
  return { kind: 'choice', ...of }
}

export function integer(of: Omit<Integer, 'kind'>): Integer {
  return { kind: 'integer', ...of }
}

export function flag(of: Omit<Flag, 'kind'>): Flag {
  return { kind: 'flag', ...of }
}

export function special<Value, Default>(of: Omit<Special<Value, Default>, 'kind'>): Special<Value, Default> {
  return { kind: 'special', ...of }
}

/** A boolean, or an object with options of its own. */
export function switched<Value>(
  of: Pick<Described, 'text' | 'see'> & { readonly type: string; readonly optionsAt: string }
): Special<boolean | Value, false> {
  const { type, optionsAt, ...described } = of
  return special<boolean | Value, false>({
    ...described,
    type: `boolean | ${type}`,
    expected: 'a boolean, or an object with options',
    rangeText: `\`true\`, \`false\`, or [its options](${optionsAt})`,
    default: false,
    defaultText: '`false`',
    isValid: (value): value is boolean | Value => typeof value === 'boolean' || isObject(value)
  })
}

/** Throws `ZERIO_BAD_OPTION` unless `value` is one that the option can have; what depends on other options is checked elsewhere. */
export function checkOption(name: string, option: Option, value: unknown): void {
  const bad = (expected: string): ZerioError =>
    misuse('ZERIO_BAD_OPTION', `Option "${name}" must be ${expected}, not ${describe(value)}.`)
  switch (option.kind) {
    case 'choice':
      if (!option.values.includes(value as string))
        throw bad(`one of ${option.values.map((one) => `'${one}'`).join(', ')}`)
      return
    case 'integer':
      if (!Number.isInteger(value) || (value as number) < option.min || (value as number) > option.max)
        throw bad(`an integer from ${option.min} to ${option.max}`)
      checkRules(option, value as number, bad)
      return
    case 'flag':
      if (typeof value !== 'boolean') throw bad('a boolean')
      return
    case 'special':
      if (!option.isValid(value)) throw bad(option.expected)
  }
}

/** The rules of an integer besides its range. */
function checkRules(
  { max, minBesideZero, multipleOf }: Integer,
  value: number,
  bad: (expected: string) => ZerioError
): void {
  if (multipleOf !== undefined && value % multipleOf !== 0) throw bad(`a multiple of ${multipleOf}`)
  if (minBesideZero !== undefined && value > 0 && value < minBesideZero)
    throw bad(`0 or an integer from ${minBesideZero} to ${max}`)
}
