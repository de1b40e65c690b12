// The options that choose the engine: servers and clients of a thread with equal ones share one engine and its memory.
import { Header } from '../engine/layout.js'
import { isObject } from './given.js'
import { choice, integer, special } from './option.js'
import type { ConditionsOptions } from './types.js'

export const RING_BYTES_DEFAULT = 262144

export const engineTable = {
  backend: choice({
    values: ['auto', 'epoll', 'io_uring', 'kqueue', 'rio', 'winsock'],
    default: 'auto',
    type: { name: 'Backend', text: 'Which system interface does the I/O.' },
    text: 'The system interface that does the I/O; `auto` takes the best one that this system has.',
    see: 'See [io_uring](io_uring.md), [kqueue](kqueue.md) and [Windows](windows.md).'
  }),
  waitStrategy: choice({
    values: ['blocking', 'spin', 'hybrid', 'adaptive', 'manual'],
    default: 'blocking',
    type: { name: 'WaitStrategy', text: 'How a thread waits for the network. See docs/tuning.md.' },
    text: 'How the thread waits for the network. With `manual` nothing runs unless the program calls `poll()`, but for `start` and `stop`.',
    see: 'See [tuning](tuning.md).'
  }),
  spinUs: integer({
    unit: 'microseconds',
    min: 1,
    max: 1_000_000,
    default: 50,
    text: 'How long `hybrid` spins after the last event before it sleeps; with `adaptive`, how much spinning one avoided wake-up is worth.'
  }),
  maxMessageLength: integer({
    unit: 'bytes',
    min: 1,
    max: Header.LengthMask,
    default: 65_536,
    text: 'The longest message that is accepted and sent.'
  }),
  sendRingBytes: integer({
    unit: 'bytes',
    min: 0,
    max: 512 * 1024 * 1024,
    default: 0,
    rangeText: 'a multiple of 8, `2 * (maxMessageLength + 4)` to 536,870,912',
    defaultText: '262,144, or what two of the longest messages need',
    text: 'The send ring of each connection. Its memory is committed page by page as it is used.'
  }),
  receiveArenaBytes: integer({
    unit: 'bytes',
    min: 16_384,
    max: 64 * 1024 * 1024,
    multipleOf: 4096,
    default: 1_048_576,
    text: 'The memory that one batch of receives may fill.'
  }),
  conditions: special<ConditionsOptions, undefined>({
    type: 'ConditionsOptions',
    expected: 'an object with options',
    rangeText: '[its options](#conditions)',
    default: undefined,
    defaultText: 'the network as it is',
    isValid: (value): value is ConditionsOptions => isObject(value),
    text: 'Make the network a bad one, for tests: delay what is received, stall and reset connections.',
    see: 'See [conditions](conditions.md).'
  })
}
