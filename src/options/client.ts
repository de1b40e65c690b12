// The options of clients alone.
import type { LocalAddress } from './address.js'
import { choice, integer, special } from './option.js'
import { kindOf } from './typed_arrays.js'
import type { ReconnectOptions, SessionOptions } from './types.js'

type Credential = Uint8Array | string
type Reconnect = boolean | ReconnectOptions
type Session = boolean | SessionOptions

const isSwitch = (value: unknown): boolean =>
  typeof value === 'boolean' || (typeof value === 'object' && value !== null)

export const clientTable = {
  protocol: choice({
    values: ['native', 'classic'],
    default: 'native',
    text: 'What to speak: `classic` for servers of the C# Zerio.'
  }),
  credential: special<Credential, Credential>({
    type: 'Uint8Array | string',
    expected: 'a string or a Uint8Array',
    rangeText: 'string or bytes, at most 512 bytes',
    default: '',
    defaultText: 'empty',
    isValid: (value): value is Credential => typeof value === 'string' || kindOf.call(value) === 'Uint8Array',
    text: "Handed to the server's `authenticate`. A string is sent as UTF-8."
  }),
  connectTimeoutMs: integer({
    unit: 'milliseconds',
    min: 1,
    max: 600_000,
    default: 5000,
    text: 'How long connecting may take: the look-up of a host name, all its addresses, and the handshake together.'
  }),
  localAddress: special<LocalAddress, undefined>({
    type: 'LocalAddress',
    expected: 'an object with a host',
    rangeText: '`{ host, port }`; the host is numeric, the port may be missing',
    default: undefined,
    defaultText: 'the system chooses',
    isValid: (value): value is LocalAddress => typeof value === 'object' && value !== null,
    text: 'The address of this machine that connections come from. Of a host with several addresses only those of the same family are tried. Not for a `path`.'
  }),
  reconnect: special<Reconnect, false>({
    type: 'boolean | ReconnectOptions',
    expected: 'a boolean, or an object with options',
    rangeText: '`true`, `false`, or [its options](#reconnecting)',
    default: false,
    defaultText: '`false`',
    isValid: (value): value is Reconnect => isSwitch(value),
    text: 'Whether the client connects again, by itself, when its connection breaks.',
    see: 'See [connecting again](behaviour.md#connecting-again).'
  }),
  session: special<Session, false>({
    type: 'boolean | SessionOptions',
    expected: 'a boolean, or an object with options',
    rangeText: '`true`, `false`, or [its options](#sessions)',
    default: false,
    defaultText: '`false`',
    isValid: (value): value is Session => isSwitch(value),
    text: 'Whether messages that were accepted survive a broken connection. The client connects again as `reconnect` says, or as `reconnect: true` would.',
    see: 'See [sessions](sessions.md).'
  })
}
