// Options: their defaults, units and ranges, and the check of what the program passes.
import { isIP } from 'node:net'
import { Header } from '../engine/layout.js'
import { misuse, type ZerioError } from '../errors.js'
import { type Complete, describe, readProperties } from './given.js'
import { kindOf, lengthOf } from './typed_arrays.js'

export { describe } from './given.js'

/** How a thread waits for the network. See docs/tuning.md. */
export type WaitStrategy = 'blocking' | 'spin' | 'hybrid' | 'manual'
/** Which system interface does the I/O. */
export type Backend = 'auto' | 'epoll' | 'io_uring' | 'rio' | 'winsock'

/** Options that choose the engine: servers and clients of a thread with equal ones share one engine and its memory. */
export interface EngineOptions {
  /** Default `'auto'`: the best one that this system has. */
  backend?: Backend | undefined
  /** Default `'blocking'`. With `'manual'` nothing runs unless the program calls `poll()`, but for `start` and `stop`. */
  waitStrategy?: WaitStrategy | undefined
  /** For `'hybrid'`: how long to spin after the last event before sleeping, in microseconds; 1 to 1,000,000, default 50. */
  spinUs?: number | undefined
  /** Longest message accepted and sent, in bytes; 1 to 16,777,215, default 65,536. */
  maxMessageLength?: number | undefined
  /**
   * Send ring of each connection, in bytes; a multiple of 8, at least `2 * (maxMessageLength + 4)`, at most 512 MiB; default
   * 262,144 or what `maxMessageLength` demands. It is committed page by page as it is used.
   */
  sendRingBytes?: number | undefined
  /** Memory that one batch of receives may fill, in bytes; a multiple of 4,096, 16,384 to 64 MiB, default 1,048,576. */
  receiveArenaBytes?: number | undefined
}

/** Options of the sockets. */
export interface SocketOptions {
  /** Send small messages at once (`TCP_NODELAY`); default true. */
  noDelay?: boolean | undefined
  /** The system's send buffer (`SO_SNDBUF`), in bytes; default 0: the system decides. */
  socketSendBytes?: number | undefined
  /** The system's receive buffer (`SO_RCVBUF`), in bytes; default 0: the system decides. */
  socketReceiveBytes?: number | undefined
  /** How long a closing connection may take to send what was accepted, in milliseconds; 0 to 600,000, default 1,000. */
  lingerMs?: number | undefined
  /**
   * Ask a silent peer for a sign of life after this time, and give it up after four times of it, in milliseconds; 0 (never)
   * or 10 to 3,600,000, default 0. Works with native peers only.
   */
  heartbeatMs?: number | undefined
  /**
   * End a connection from which nothing came for this long, native or classic, in milliseconds; 0 (never) or 10 to 86,400,000,
   * default 0. A PONG is something. The end comes at most a third of this time late.
   */
  idleTimeoutMs?: number | undefined
  /**
   * Have the system ask the other side's system for a sign of life after so much silence, and end the connection
   * (`ETIMEDOUT`) after three times of it, in milliseconds, in whole seconds rounded up; 0 (never) or
   * 1,000 to 7,200,000, default 15,000. A living system answers whatever its program does.
   */
  keepAliveMs?: number | undefined
  /**
   * End the connection (`ETIMEDOUT`) when the other side's system has confirmed nothing of what was sent,
   * or had no room for more, for this long, in milliseconds; 0 (the system's own limit, about 15 minutes) or 1,000 to 86,400,000,
   * default 45,000.
   */
  userTimeoutMs?: number | undefined
}

export interface ServerOptions extends EngineOptions, SocketOptions {
  /** Connected peers at the same time; 1 to 60,000, default 10,000. */
  maxPeers?: number | undefined
  /**
   * Connections at the same time that are no peers: those that have not said who they are, and those that were refused or have ended
   * and are not closed yet. Beyond that the most dispensable one makes place for a newcomer; 1 to 60,000, default 1,024.
   */
  maxHandshakes?: number | undefined
  /** How long a connection may take to say who it is, in milliseconds; 1 to 600,000, default 5,000. */
  handshakeTimeoutMs?: number | undefined
  /** Take peers that speak the classic protocol; default true. Otherwise they are refused with `ZERIO_UNSUPPORTED_VERSION`. */
  allowClassic?: boolean | undefined
  /**
   * A second connection with the same peer id is refused (default), or takes the place of the first. When it is refused, a native
   * first one is asked for a sign of life, and ends (`ZERIO_HEARTBEAT_TIMEOUT`) unless something comes from it within
   * `2 * handshakeTimeoutMs`: so a hung process does not keep its id.
   */
  duplicateIds?: 'refuse' | 'replace' | undefined
  /**
   * Decides whether a peer may connect. Called once for each handshake, before `clientConnected`, and synchronous: it returns true
   * or false. Anything else, an exception or a promise for instance, refuses the peer, and the server's `error` event tells it with
   * `ZERIO_AUTHENTICATE_FAILED`. `credential` is a copy of the client's, empty for classic peers. Default: everyone may.
   */
  authenticate?: ((peerId: string, credential: Buffer) => boolean) | undefined
  /** Length of the listen queue; 1 to 65,535, default 1,024 (the system may allow less). */
  backlog?: number | undefined
  /** Do not accept IPv4 on an IPv6 address; default false. */
  ipv6Only?: boolean | undefined
  /** Let several servers, of worker threads for instance, share one port (`SO_REUSEPORT`); default false. */
  reusePort?: boolean | undefined
}

export interface ClientOptions extends EngineOptions, SocketOptions {
  /** `'native'` (default), or `'classic'` for servers that speak the protocol of the C# Zerio. */
  protocol?: 'native' | 'classic' | undefined
  /** Sent to the server's `authenticate`; at most 512 bytes. A string is sent as UTF-8. */
  credential?: Uint8Array | string | undefined
  /** How long connecting may take: host name, all its addresses and handshake together, in milliseconds; 1 to 600,000, default 5,000. */
  connectTimeoutMs?: number | undefined
}

/** Where to listen or to connect: a port, or host and port. */
export interface Address {
  /** Host name or numeric address. A server's default is all addresses, IPv6 and IPv4; a client's is `'localhost'`. */
  host?: string | undefined
  /** 0 to 65,535. A server's 0 means any free port. */
  port: number
}

export const PEER_ID_BYTES_MAX = 255
export const CREDENTIAL_BYTES_MAX = 512
export const REASON_BYTES_MAX = 256

const RING_BYTES_DEFAULT = 262144
const RING_BYTES_MAX = 512 * 1024 * 1024

export type ResolvedEngineOptions = Complete<EngineOptions>
export type ResolvedServerOptions = Complete<Omit<ServerOptions, 'authenticate'>> &
  Pick<ServerOptions, 'authenticate'>
export type ResolvedClientOptions = Complete<Omit<ClientOptions, 'credential'>> & { credential: Uint8Array }

const engineDefaults: ResolvedEngineOptions = {
  backend: 'auto',
  waitStrategy: 'blocking',
  spinUs: 50,
  maxMessageLength: 65536,
  sendRingBytes: 0,
  receiveArenaBytes: 1048576
}
const socketDefaults: Complete<SocketOptions> = {
  noDelay: true,
  socketSendBytes: 0,
  socketReceiveBytes: 0,
  lingerMs: 1000,
  heartbeatMs: 0,
  idleTimeoutMs: 0,
  keepAliveMs: 15000,
  userTimeoutMs: 45000
}
const serverDefaults: ResolvedServerOptions = {
  ...engineDefaults,
  ...socketDefaults,
  maxPeers: 10000,
  maxHandshakes: 1024,
  handshakeTimeoutMs: 5000,
  allowClassic: true,
  duplicateIds: 'refuse',
  authenticate: undefined,
  backlog: 1024,
  ipv6Only: false,
  reusePort: false
}
const clientDefaults: Complete<ClientOptions> = {
  ...engineDefaults,
  ...socketDefaults,
  protocol: 'native',
  credential: '',
  connectTimeoutMs: 5000
}

const choices: Readonly<Record<string, readonly string[]>> = {
  backend: ['auto', 'epoll', 'io_uring', 'rio', 'winsock'],
  waitStrategy: ['blocking', 'spin', 'hybrid', 'manual'],
  duplicateIds: ['refuse', 'replace'],
  protocol: ['native', 'classic']
}
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  spinUs: [1, 1_000_000],
  maxMessageLength: [1, Header.LengthMask],
  sendRingBytes: [0, RING_BYTES_MAX],
  receiveArenaBytes: [16384, 64 * 1024 * 1024],
  socketSendBytes: [0, 0x3fffffff],
  socketReceiveBytes: [0, 0x3fffffff],
  lingerMs: [0, 600_000],
  heartbeatMs: [0, 3_600_000],
  idleTimeoutMs: [0, 86_400_000],
  keepAliveMs: [0, 7_200_000],
  userTimeoutMs: [0, 86_400_000],
  maxPeers: [1, 60_000],
  maxHandshakes: [1, 60_000],
  handshakeTimeoutMs: [1, 600_000],
  backlog: [1, 65_535],
  connectTimeoutMs: [1, 600_000]
}

const leastUnlessZero = [
  ['heartbeatMs', 10],
  ['idleTimeoutMs', 10],
  ['keepAliveMs', 1000],
  ['userTimeoutMs', 1000]
] as const

function checkOption(name: string, value: unknown, fallback: unknown): void {
  const bad = (expected: string): ZerioError =>
    misuse('ZERIO_BAD_OPTION', `Option "${name}" must be ${expected}, not ${describe(value)}.`)
  const choice = choices[name]
  if (choice !== undefined) {
    if (!choice.includes(value as string)) throw bad(`one of ${choice.map((one) => `'${one}'`).join(', ')}`)
    return
  }
  const range = ranges[name]
  if (range !== undefined) {
    if (!Number.isInteger(value) || (value as number) < range[0] || (value as number) > range[1]) {
      throw bad(`an integer from ${range[0]} to ${range[1]}`)
    }
    return
  }
  if (name === 'authenticate') {
    if (typeof value !== 'function') throw bad('a function')
  } else if (name === 'credential') {
    if (typeof value !== 'string' && kindOf.call(value) !== 'Uint8Array')
      throw bad('a string or a Uint8Array')
  } else if (typeof value !== typeof fallback) {
    throw bad(`a ${typeof fallback}`)
  }
}

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
    checkOption(name, value, (defaults as Record<string, unknown>)[name])
    result[name] = value
  }
  return result as T
}

function finishEngineOptions(options: ResolvedEngineOptions & Complete<SocketOptions>): void {
  const least = 2 * (options.maxMessageLength + Header.Bytes)
  if (options.sendRingBytes === 0) {
    // Whole pages, so that no two rings share one.
    options.sendRingBytes = Math.max(RING_BYTES_DEFAULT, Math.ceil(least / 4096) * 4096)
  } else if (options.sendRingBytes < least || options.sendRingBytes % 8 !== 0) {
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "sendRingBytes" must be a multiple of 8 and hold two of the longest messages: at least ${Math.ceil(least / 8) * 8} bytes, not ${options.sendRingBytes}.`
    )
  }
  if (options.receiveArenaBytes % 4096 !== 0) {
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "receiveArenaBytes" must be a multiple of 4096, not ${options.receiveArenaBytes}.`
    )
  }
  for (const [name, least] of leastUnlessZero) {
    if (options[name] > 0 && options[name] < least) {
      throw misuse(
        'ZERIO_BAD_OPTION',
        `Option "${name}" must be 0 or an integer from ${least} to ${ranges[name][1]}, not ${options[name]}.`
      )
    }
  }
}

export function resolveServerOptions(given: unknown): ResolvedServerOptions {
  const options = resolve(given, serverDefaults)
  finishEngineOptions(options)
  return options
}

export function resolveClientOptions(given: unknown): ResolvedClientOptions {
  const options = resolve(given, clientDefaults)
  finishEngineOptions(options)
  const { credential } = options
  const length = typeof credential === 'string' ? Buffer.byteLength(credential) : lengthOf.call(credential)
  if (length > CREDENTIAL_BYTES_MAX) {
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "credential" must have at most ${CREDENTIAL_BYTES_MAX} bytes, not ${length}.`
    )
  }
  return { ...options, credential: copyOf(credential, length) }
}

function copyOf(credential: string | Uint8Array, length: number): Uint8Array {
  if (typeof credential === 'string') return Buffer.from(credential)
  const copy = new Uint8Array(length)
  // An array whose memory was transferred away is empty, and cannot be copied from.
  if (length > 0) copy.set(credential)
  return copy
}

export function resolveAddress(given: unknown, who: string): { host: string | undefined; port: number } {
  const address: Record<string, unknown> =
    typeof given === 'object' && given !== null
      ? readProperties(given, ['host', 'port'], {
          code: 'ZERIO_BAD_ARGUMENT',
          notAnObject: (what) => `${who} needs a port, or host and port, not ${what}.`,
          unknown: (name) => `${who} takes host and port, and no "${name}".`
        })
      : { port: given }
  const { host, port } = address
  if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65535) {
    throw misuse('ZERIO_BAD_ARGUMENT', `${who} needs a port from 0 to 65535, not ${describe(port)}.`)
  }
  if (host !== undefined && (typeof host !== 'string' || host.length === 0 || host.length > 253)) {
    throw misuse('ZERIO_BAD_ARGUMENT', `${who} needs a host name or address, not ${describe(host)}.`)
  }
  return { host: host as string | undefined, port: port as number }
}

/** Throws unless `id` can travel: 1 to 255 bytes of UTF-8 without control characters; for classic, printable ASCII. */
export function checkPeerId(id: unknown, classic: boolean): asserts id is string {
  const allowed = classic ? /^[\x20-\x7e]+$/ : /^[^\p{Cc}\p{Cs}]+$/u
  if (typeof id !== 'string' || !allowed.test(id) || Buffer.byteLength(id) > PEER_ID_BYTES_MAX) {
    throw misuse(
      'ZERIO_BAD_PEER_ID',
      `A peer id must be a string of 1 to ${PEER_ID_BYTES_MAX} bytes of ${classic ? 'printable ASCII' : 'UTF-8 without control characters'}, not ${describe(id)}.`
    )
  }
}

export function checkChannel(channel: unknown): void {
  if (!Number.isInteger(channel) || (channel as number) < 0 || (channel as number) > Header.ChannelMax) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A channel must be an integer from 0 to ${Header.ChannelMax}, not ${describe(channel)}.`
    )
  }
}

export function isNumericHost(host: string): boolean {
  return isIP(host.split('%', 1)[0]) !== 0
}
