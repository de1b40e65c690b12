// The options of conditions: a bad network on purpose.
import { integer, special } from './option.js'

const SEED_MAX = 4_294_967_295

export const conditionsTable = {
  lagMs: integer({
    unit: 'milliseconds',
    min: 0,
    max: 60_000,
    default: 0,
    text: 'How long received bytes wait before the program gets them.'
  }),
  jitterMs: integer({
    unit: 'milliseconds',
    min: 0,
    max: 60_000,
    default: 0,
    text: 'How much longer they may wait, by chance. Their order stays.'
  }),
  stallEveryMs: integer({
    unit: 'milliseconds',
    min: 0,
    minBesideZero: 10,
    max: 3_600_000,
    default: 0,
    zero: 'never',
    text: 'How long it takes on the average from the end of one stall of a connection to the next one: by chance half of it to three halves.'
  }),
  stallMs: integer({
    unit: 'milliseconds',
    min: 0,
    max: 60_000,
    default: 1000,
    text: 'How long a stall lasts: nothing is delivered meanwhile, and all of it behind it.'
  }),
  resetPercent: integer({
    unit: 'percent',
    min: 0,
    max: 100,
    default: 0,
    text: 'How many of a hundred connections are reset (`ECONNRESET`), by chance.'
  }),
  resetWithinMs: integer({
    unit: 'milliseconds',
    min: 1,
    max: 3_600_000,
    default: 1000,
    text: 'How old such a connection becomes at most, by chance.'
  }),
  seed: special<number, number>({
    type: 'number',
    expected: `an integer from 0 to ${SEED_MAX}`,
    rangeText: '0 to 4,294,967,295',
    default: 0,
    defaultText: '0',
    isValid: (value): value is number =>
      Number.isInteger(value) && (value as number) >= 0 && (value as number) <= SEED_MAX,
    text: 'What chance begins with: the same seed makes the same decisions for the first connection, the second, and so on.'
  })
}
