// The options of `reconnect`: when a client whose connection broke connects again.
import { flag, integer, special } from './option.js'

const isNumber = (value: unknown): value is number => typeof value === 'number'

export const reconnectTable = {
  delayMs: integer({
    unit: 'milliseconds',
    min: 1,
    max: 3_600_000,
    default: 100,
    text: 'The longest delay before the first attempt.'
  }),
  delayMsMax: integer({
    unit: 'milliseconds',
    min: 1,
    max: 3_600_000,
    default: 10_000,
    text: 'The longest delay of all; at least `delayMs`.'
  }),
  factor: special<number, number>({
    type: 'number',
    expected: 'a number from 1 to 100',
    rangeText: '1 to 100',
    default: 2,
    defaultText: '2',
    isValid: (value): value is number => isNumber(value) && value >= 1 && value <= 100,
    text: 'How many times longer each delay can be than the one before.'
  }),
  jitter: special<number, number>({
    type: 'number',
    expected: 'a number from 0 to 1',
    rangeText: '0 to 1',
    default: 1,
    defaultText: '1',
    isValid: (value): value is number => isNumber(value) && value >= 0 && value <= 1,
    text: 'Which part of a delay is left to chance. With 1 a delay is anything from 0 to the longest one, so that the clients of a server that restarts do not come back in one wave; with 0 it is always the longest one.'
  }),
  attemptsMax: special<number, number>({
    type: 'number',
    expected: 'an integer above 0, or Infinity',
    rangeText: '1 or more, or `Infinity`',
    default: Number.POSITIVE_INFINITY,
    defaultText: '`Infinity`',
    isValid: (value): value is number =>
      isNumber(value) && value >= 1 && (Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY),
    text: 'How many attempts in a row may fail. After the last one the client emits `reconnectFailed`.'
  }),
  first: flag({
    default: false,
    text: 'Whether `start`, too, tries again until it is connected. Otherwise it rejects when the first attempt fails.'
  })
}
