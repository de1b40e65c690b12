// What the commands share of reading flags: each mistake is a UsageError of one line.
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** A mistake in the command line: exit code 2. */
export class UsageError extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>

type Values<T extends Options> = { [Name in keyof T]?: T[Name]['type'] extends 'boolean' ? boolean : string }

/** `parseArgs` without positional arguments. */
export function readFlags<T extends Options>(args: string[], options: T): Values<T> {
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: false }).values as Values<T>
  } catch (error) {
    // The first sentence says what is wrong; the rest is about positional arguments.
    throw new UsageError((error as Error).message.split(/[.\n] /)[0])
  }
}

/** Splits at the first argument that is no flag and no flag's value: what follows belongs to a program. */
export function splitAtProgram(args: string[], options: Options): { flags: string[]; program: string[] } {
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true })
  for (const token of tokens) {
    if (token.kind === 'positional') {
      return { flags: args.slice(0, token.index), program: args.slice(token.index) }
    }
    if (token.kind === 'option-terminator') {
      return { flags: args.slice(0, token.index), program: args.slice(token.index + 1) }
    }
  }
  return { flags: args, program: [] }
}

export function numberOf(
  flag: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number
): number {
  return checked(flag, text, fallback, min, max, /^\d+(\.\d+)?$/, 'a number')
}

export function integerOf(
  flag: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number
): number {
  return checked(flag, text, fallback, min, max, /^\d+$/, 'a whole number')
}

function checked(
  flag: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number,
  form: RegExp,
  kind: string
): number {
  if (text === undefined) return fallback
  const value = form.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new UsageError(`--${flag} must be ${kind} from ${min} to ${max}, not '${text}'`)
}
