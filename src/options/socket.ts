// The options of sockets: servers and clients have them.
import type { LookupFunction } from 'node:net'
import { flag, integer, special } from './option.js'

/** The largest socket buffer that can be asked for: the system doubles it, and counts in 32 bits. */
const SOCKET_BUFFER_MAX = 0x3fffffff

export const socketTable = {
  lookup: special<LookupFunction, undefined>({
    type: "import('node:net').LookupFunction",
    expected: 'a function',
    rangeText: 'function',
    default: undefined,
    defaultText: '`dns.promises.lookup`',
    isValid: (value): value is LookupFunction => typeof value === 'function',
    text: 'Finds the numeric addresses of a host name, as the option of `net.connect` does: `(hostname, options, callback)`, and `options.all` is true. It is called again for each attempt to connect.'
  }),
  noDelay: flag({ live: true, default: true, text: 'Send small messages at once (`TCP_NODELAY`).' }),
  socketSendBytes: integer({
    unit: 'bytes',
    min: 0,
    max: SOCKET_BUFFER_MAX,
    default: 0,
    zero: 'the system decides',
    text: "The system's send buffer (`SO_SNDBUF`)."
  }),
  socketReceiveBytes: integer({
    unit: 'bytes',
    min: 0,
    max: SOCKET_BUFFER_MAX,
    default: 0,
    zero: 'the system decides',
    text: "The system's receive buffer (`SO_RCVBUF`)."
  }),
  lingerMs: integer({
    live: true,
    unit: 'milliseconds',
    min: 0,
    max: 600_000,
    default: 1000,
    text: 'How long a closing connection may take to send what was accepted.'
  }),
  heartbeatMs: integer({
    live: true,
    unit: 'milliseconds',
    min: 0,
    minBesideZero: 10,
    max: 3_600_000,
    default: 0,
    zero: 'never',
    text: 'Ask a silent peer for a sign of life after this time, and end the connection after four times of it. Works with native peers only.'
  }),
  idleTimeoutMs: integer({
    live: true,
    unit: 'milliseconds',
    min: 0,
    minBesideZero: 10,
    max: 86_400_000,
    default: 0,
    zero: 'never',
    text: 'End a connection, native or classic, from which nothing came for this long. A PONG counts as something. The end comes at most a third of this time late.'
  }),
  allowHalfOpen: flag({
    default: false,
    text: "Whether a connection whose other side has ended (`end`, or FIN) goes on in the other direction, until this side ends or closes it. Otherwise the other side's end ends the connection. Not in a session.",
    see: 'See [half-open connections](behaviour.md#half-open-connections).'
  }),
  keepAliveMs: integer({
    live: true,
    unit: 'milliseconds',
    min: 0,
    minBesideZero: 1000,
    max: 7_200_000,
    default: 15_000,
    zero: 'never',
    text: "Have the system ask the other side's system for a sign of life after so much silence, in whole seconds rounded up, and end the connection (`ETIMEDOUT`) after three times of it. A living system answers whatever its program does."
  }),
  userTimeoutMs: integer({
    live: true,
    unit: 'milliseconds',
    min: 0,
    minBesideZero: 1000,
    max: 86_400_000,
    default: 45_000,
    zero: "the system's own limit, about 15 minutes",
    text: "End the connection (`ETIMEDOUT`) when the other side's system has confirmed nothing of what was sent, or had no room for more, for this long."
  })
}
