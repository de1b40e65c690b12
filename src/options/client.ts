// The options of clients alone.
import type { LocalAddress } from './address.js'
import { isObject } from './given.js'
import { choice, integer, special, switched } from './option.js'
import { kindOf } from './typed_arrays.js'
import type { ReconnectOptions, SessionOptions } from './types.js'

type Credential = Uint8Array | string

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
    text: "Handed to the server's `authenticate`. A string is sent as UTF-8. Not for `classic`."
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
    isValid: (value): value is LocalAddress => isObject(value),
    text: 'The address of this machine that connections come from. Of a host with several addresses only those of the same family are tried. Not for a `path`.'
  }),
  reconnect: switched<ReconnectOptions>({
    type: 'ReconnectOptions',
    optionsAt: '#reconnecting',
    text: 'Whether the client connects again, by itself, when its connection breaks.',
    see: 'See [connecting again](behaviour.md#connecting-again).'
  }),
  session: switched<SessionOptions>({
    type: 'SessionOptions',
    optionsAt: '#sessions',
    text: 'Whether messages that were accepted survive a broken connection. The client connects again as `reconnect` says, or as `reconnect: true` would.',
    see: 'See [sessions](sessions.md).'
  })
}
