// The options of servers alone.
import type { Authenticate } from './authenticate.js'
import { choice, flag, integer, special, switched } from './option.js'
import type { SessionsOptions } from './types.js'

export const serverTable = {
  maxPeers: integer({
    unit: 'connections',
    min: 1,
    max: 60_000,
    default: 10_000,
    text: 'How many peers may be connected at the same time.'
  }),
  maxHandshakes: integer({
    unit: 'connections',
    min: 1,
    max: 60_000,
    default: 1024,
    text: 'How many connections there may be at the same time that are no peers: those that have not said who they are, and those that were refused or have ended and are not closed yet. Beyond that the server closes one of them to make place for a newcomer.',
    see: 'See [what connections hold](behaviour.md#what-connections-hold).'
  }),
  handshakeTimeoutMs: integer({
    unit: 'milliseconds',
    min: 1,
    max: 600_000,
    default: 5000,
    text: 'How long a connection may take to say who it is.'
  }),
  allowClassic: flag({
    default: true,
    text: 'Take peers that speak the classic protocol. Otherwise they are refused with `ZERIO_UNSUPPORTED_VERSION`.'
  }),
  duplicateIds: choice({
    values: ['refuse', 'replace'],
    default: 'refuse',
    text: 'Whether a second connection with the same peer id is refused, or takes the place of the first. When it is refused, a native first one is asked for a sign of life, and ends (`ZERIO_HEARTBEAT_TIMEOUT`) unless something comes from it within `2 * handshakeTimeoutMs`: so a hung process does not keep its id.'
  }),
  authenticate: special<Authenticate, undefined>({
    type: 'Authenticate',
    expected: 'a function',
    rangeText: 'function',
    default: undefined,
    defaultText: 'every peer may connect',
    isValid: (value): value is Authenticate => typeof value === 'function',
    text: "Decides whether a peer may connect. It is called once for each handshake, before `clientConnected`, and returns true or false, or a promise of one; the peer waits for that within `handshakeTimeoutMs`, and counts as one of `maxHandshakes`. Anything else, an exception or a rejection for instance, refuses the peer, and the server emits an `error` event with `ZERIO_AUTHENTICATE_FAILED`. `credential` is a copy of the client's, empty for classic peers; `info` has the peer's `remoteAddress` and `protocol`, and the `localAddress` that it has reached."
  }),
  sessions: switched<SessionsOptions>({
    type: 'SessionsOptions',
    optionsAt: '#sessions-of-a-server',
    text: 'Whether clients may have sessions.',
    see: 'See [sessions](sessions.md).'
  }),
  backlog: integer({
    unit: 'connections',
    min: 1,
    max: 65_535,
    default: 1024,
    text: 'Length of the listen queue; the system may allow less.'
  }),
  ipv6Only: flag({ default: false, text: 'Do not accept IPv4 on an IPv6 address.' }),
  reusePort: flag({
    default: false,
    text: 'Let several servers, of worker threads or processes for instance, share one port (`SO_REUSEPORT`).'
  })
}
