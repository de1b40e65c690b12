// What programs pass: their options, checked by the tables beside this file, and ids and channels.

import { Header, Limit } from '../engine/layout.js'
import { misuse } from '../errors.js'
import type { CheckedAddress } from './address.js'
import { checkLocalAddress, type LocalAddress } from './address.js'
import { clientTable } from './client.js'
import { conditionsTable } from './conditions.js'
import { engineTable, RING_BYTES_DEFAULT } from './engine.js'
import { describe, readProperties } from './given.js'
import { checkOption, type OptionTable, type Resolved } from './option.js'
import { reconnectTable } from './reconnect.js'
import { serverTable } from './server.js'
import { sessionsTable, sessionTable } from './session.js'
import { socketTable } from './socket.js'
import { topicTable } from './topic.js'
import { lengthOf } from './typed_arrays.js'
import type { TopicOptions } from './types.js'

export { describe } from './given.js'
export type {
  Backend,
  ClientOptions,
  ConditionsOptions,
  EngineOptions,
  LiveOptions,
  ReconnectOptions,
  ServerOptions,
  SessionOptions,
  SessionsOptions,
  SlowConsumers,
  SocketOptions,
  TopicOptions,
  WaitStrategy
} from './types.js'

export type ResolvedConditions = Resolved<typeof conditionsTable>
export type ResolvedEngineOptions = Omit<Resolved<typeof engineTable>, 'conditions'> & {
  conditions: ResolvedConditions | undefined
}
type ResolvedSocketOptions = Resolved<typeof socketTable>
export type ResolvedServerOptions = ResolvedEngineOptions &
  ResolvedSocketOptions &
  Omit<Resolved<typeof serverTable>, 'sessions'> &
  Resolved<typeof sessionsTable>
export type ResolvedTopicOptions = Resolved<typeof topicTable>
export type ResolvedReconnectOptions = Resolved<typeof reconnectTable>
export type ResolvedClientOptions = ResolvedEngineOptions &
  ResolvedSocketOptions &
  Omit<Resolved<typeof clientTable>, 'credential' | 'reconnect' | 'localAddress' | 'session'> & {
    credential: Uint8Array
    localAddress: Required<LocalAddress> | undefined
    reconnect: ResolvedReconnectOptions | undefined
    /** 0 without a session. */
    resumeMs: number
  }

/** Whole pages, so that no two rings share one. */
const RING_BYTES_MULTIPLE = 4096

/** A table in the forms in which each server and client needs it, made once. */
interface Scope<Table extends OptionTable> {
  /** What errors put before a name. */
  readonly prefix: string
  readonly table: Table
  readonly names: readonly string[]
  readonly defaults: Readonly<Resolved<Table>>
}

function scopeOf<Table extends OptionTable>(table: Table, prefix = ''): Scope<Table> {
  const defaults = Object.fromEntries(Object.entries(table).map(([name, option]) => [name, option.default]))
  return { prefix, table, names: Object.keys(table), defaults: defaults as Resolved<Table> }
}

const serverScope = scopeOf({ ...engineTable, ...socketTable, ...serverTable })
const clientScope = scopeOf({ ...engineTable, ...socketTable, ...clientTable })
const conditionsScope = scopeOf(conditionsTable, 'conditions.')
const reconnectScope = scopeOf(reconnectTable, 'reconnect.')
const sessionScope = scopeOf(sessionTable, 'session.')
const sessionsScope = scopeOf(sessionsTable, 'sessions.')
const topicScope = scopeOf(topicTable)
const NO_SESSIONS = { resumeMsMax: 0, sessionsMax: 0 }

function readOptions(given: unknown, names: readonly string[], prefix = ''): Record<string, unknown> {
  return readProperties(given, names, {
    code: 'ZERIO_BAD_OPTION',
    notAnObject: (what) => `Options must be an object, not ${what}.`,
    unknown: (name) => `There is no option "${prefix}${name}"; there are ${names.join(', ')}.`
  })
}

function resolve<Table extends OptionTable>(given: unknown, scope: Scope<Table>): Resolved<Table> {
  const { prefix, table, names, defaults } = scope
  const result = { ...defaults } as Record<string, unknown>
  if (given === undefined) return result as Resolved<Table>
  const found = readOptions(given, names, prefix)
  for (const [name, value] of Object.entries(found)) {
    checkOption(prefix + name, table[name], value)
    result[name] = value
  }
  return result as Resolved<Table>
}

/** What depends on more than one option or number, and options of an option. */
function finish(options: Resolved<typeof engineTable>): { conditions: ResolvedConditions | undefined } {
  const least = 2 * (options.maxMessageLength + Header.Bytes)
  if (options.sendRingBytes === 0) {
    const pages = Math.ceil(least / RING_BYTES_MULTIPLE)
    options.sendRingBytes = Math.max(RING_BYTES_DEFAULT, pages * RING_BYTES_MULTIPLE)
  } else if (options.sendRingBytes < least || options.sendRingBytes % 8 !== 0) {
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "sendRingBytes" must be a multiple of 8 and hold two of the longest messages: at least ${Math.ceil(least / 8) * 8} bytes, not ${options.sendRingBytes}.`
    )
  }
  return { conditions: resolvePart(options.conditions ?? false, conditionsScope) }
}

/**
 * Resolves what a program gave, and behind that what it has made the default of a class. Throws `ZERIO_BAD_OPTION`: for a mistake that is
 * in the defaults, or that is none without them, the error says so.
 *
 * @param inapplicable the defaults that have no meaning for the one that is made.
 */
function resolveWith<Result>(
  given: unknown,
  defaults: unknown,
  { owner, names }: { readonly owner: string; readonly names: readonly string[] },
  resolveAll: (given: unknown) => Result,
  inapplicable: readonly string[] = []
): Result {
  const behind = readProperties(defaults, names, {
    code: 'ZERIO_BAD_OPTION',
    notAnObject: (what) => `${owner}.defaults must be an object of options, not ${what}.`,
    unknown: (name) =>
      `There is no option "${name}", which ${owner}.defaults has; there are ${names.join(', ')}.`
  })
  for (const name of inapplicable) delete behind[name]
  if (Object.keys(behind).length === 0) return resolveAll(given)
  const found = given === undefined ? {} : readOptions(given, names)
  try {
    return resolveAll({ ...behind, ...found })
  } catch (error) {
    // Throws when the mistake is not in the defaults.
    resolveAll(found)
    throw misuse('ZERIO_BAD_OPTION', `${(error as Error).message} It comes from ${owner}.defaults.`)
  }
}

/** The options of a server, checked and complete. Throws `ZERIO_BAD_OPTION`. */
export function resolveServerOptions(given: unknown, defaults: unknown = {}): ResolvedServerOptions {
  return resolveWith(given, defaults, { owner: 'ZerioServer', names: serverScope.names }, resolveServer)
}

/** The options of a client, checked and complete. Throws `ZERIO_BAD_OPTION`. */
export function resolveClientOptions(
  given: unknown,
  defaults: unknown = {},
  address?: CheckedAddress
): ResolvedClientOptions {
  const scope = { owner: 'ZerioClient', names: clientScope.names }
  const inapplicable = address?.kind === 'path' ? ['localAddress'] : []
  return resolveWith(given, defaults, scope, resolveClient, inapplicable)
}

function resolveServer(given: unknown): ResolvedServerOptions {
  const { sessions, ...options } = resolve(given, serverScope)
  const finished = finish(options)
  return { ...options, ...finished, ...(resolvePart(sessions, sessionsScope) ?? NO_SESSIONS) }
}

function resolveClient(given: unknown): ResolvedClientOptions {
  const { session, ...options } = resolve(given, clientScope)
  const finished = finish(options)
  const { credential, localAddress } = options
  const { resumeMs } = resolvePart(session, sessionScope) ?? { resumeMs: 0 }
  if (resumeMs > 0 && options.protocol === 'classic')
    throw misuse('ZERIO_BAD_OPTION', 'Option "session" needs the native protocol; classic has no sessions.')
  const length = typeof credential === 'string' ? Buffer.byteLength(credential) : lengthOf.call(credential)
  if (length > Limit.CredentialBytes) {
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "credential" must have at most ${Limit.CredentialBytes} bytes, not ${length}.`
    )
  }
  if (length > 0 && options.protocol === 'classic')
    throw misuse(
      'ZERIO_BAD_OPTION',
      'Option "credential" needs the native protocol; classic has no credentials.'
    )
  return {
    ...options,
    ...finished,
    credential: copyOf(credential, length),
    localAddress: localAddress === undefined ? undefined : checkLocalAddress(localAddress),
    reconnect: resolveReconnect(options.reconnect || resumeMs > 0),
    resumeMs
  }
}

/** The options of a topic that make sense only with one kind of slow consumers. */
const KIND_OF_TOPIC_OPTION: Readonly<Record<string, TopicOptions['slow']>> = {
  keysMax: 'latest',
  valueBytesMax: 'latest',
  pendingBytesMax: 'close',
  behindMs: 'close'
}
const VALUES_BYTES_MAX = 2 ** 30
/** What stands in front of each value. */
const KEY_BYTES = 4

/**
 * The options of a topic, checked and complete; `given` are the names of those that the program has given. Throws `ZERIO_BAD_OPTION`.
 *
 * @param messageLengthMax the server's option.
 */
export function resolveTopicOptions(
  given: unknown,
  messageLengthMax: number
): { options: ResolvedTopicOptions; given: readonly (keyof ResolvedTopicOptions)[] } {
  const found = given === undefined ? {} : readOptions(given, topicScope.names)
  const options = resolve(found, topicScope)
  for (const name of Object.keys(found)) {
    const slow = KIND_OF_TOPIC_OPTION[name]
    if (slow !== undefined && slow !== options.slow)
      throw misuse('ZERIO_BAD_OPTION', `Option "${name}" is for topics with slow: '${slow}'; leave it out.`)
  }
  const { slow, keysMax, valueBytesMax } = options
  const tooLong = valueBytesMax + KEY_BYTES > messageLengthMax
  if (slow === 'latest' && (tooLong || keysMax * (valueBytesMax + KEY_BYTES) > VALUES_BYTES_MAX)) {
    throw misuse(
      'ZERIO_BAD_OPTION',
      tooLong
        ? `Option "valueBytesMax" must be at most maxMessageLength - ${KEY_BYTES} (${messageLengthMax - KEY_BYTES}), not ${valueBytesMax}.`
        : `Options "keysMax" and "valueBytesMax" ask for more than ${VALUES_BYTES_MAX} bytes; lower one of them.`
    )
  }
  return { options, given: Object.keys(found) as (keyof ResolvedTopicOptions)[] }
}

/** Options that have an option of their own; undefined when that is false. */
function resolvePart<Table extends OptionTable>(
  given: unknown,
  scope: Scope<Table>
): Resolved<Table> | undefined {
  return given === false ? undefined : resolve(given === true ? undefined : given, scope)
}

/** Undefined when a client is not to connect again. */
function resolveReconnect(given: unknown): ResolvedReconnectOptions | undefined {
  const options = resolvePart(given, reconnectScope)
  if (options === undefined) return undefined
  if (options.delayMsMax < options.delayMs) {
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "reconnect.delayMsMax" must be at least reconnect.delayMs (${options.delayMs}), not ${options.delayMsMax}.`
    )
  }
  return options
}

function copyOf(credential: string | Uint8Array, length: number): Uint8Array {
  if (typeof credential === 'string') return Buffer.from(credential)
  const copy = new Uint8Array(length)
  // An array whose memory was transferred away is empty, and cannot be copied from.
  if (length > 0) copy.set(credential)
  return copy
}

/** Throws unless `id` can travel: 1 to 255 bytes of UTF-8 without control characters; for classic, printable ASCII. */
export function checkPeerId(id: unknown, classic: boolean): asserts id is string {
  const allowed = classic ? /^[\x20-\x7e]+$/ : /^[^\p{Cc}\p{Cs}]+$/u
  if (typeof id !== 'string' || !allowed.test(id) || Buffer.byteLength(id) > Limit.PeerIdBytes) {
    throw misuse(
      'ZERIO_BAD_PEER_ID',
      `A peer id must be a string of 1 to ${Limit.PeerIdBytes} bytes of ${classic ? 'printable ASCII' : 'UTF-8 without control characters'}, not ${describe(id)}.`
    )
  }
}

/** Throws `ZERIO_BAD_ARGUMENT` unless it can be the name of a topic: 1 to 255 bytes of UTF-8 without control characters. */
export function checkTopicName(name: unknown): asserts name is string {
  if (
    typeof name !== 'string' ||
    !/^[^\p{Cc}\p{Cs}]+$/u.test(name) ||
    Buffer.byteLength(name) > Limit.TopicNameBytes
  ) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A topic's name must be a string of 1 to ${Limit.TopicNameBytes} bytes of UTF-8 without control characters, not ${describe(name)}.`
    )
  }
}

/** Throws `ZERIO_BAD_ARGUMENT` unless it is a channel. */
export function checkChannel(channel: unknown): void {
  if (!Number.isInteger(channel) || (channel as number) < 0 || (channel as number) > Header.ChannelMax) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A channel must be an integer from 0 to ${Header.ChannelMax}, not ${describe(channel)}.`
    )
  }
}

/** What a program has passed to `start` beside the id. Throws `ZERIO_BAD_ARGUMENT`. */
export function checkStartOptions(given: unknown): { signal: AbortSignal | undefined } {
  if (given === undefined) return { signal: undefined }
  const { signal } = readProperties(given, ['signal'], {
    code: 'ZERIO_BAD_ARGUMENT',
    notAnObject: (what) => `The second argument of start must be an object with a signal, not ${what}.`,
    unknown: (name) => `start takes a signal, and no "${name}".`
  })
  if (signal !== undefined && !isSignal(signal))
    throw misuse('ZERIO_BAD_ARGUMENT', `signal must be an AbortSignal, not ${describe(signal)}.`)
  return { signal }
}

/** Also one of another realm, or a program's own. */
function isSignal(value: unknown): value is AbortSignal {
  if (typeof value !== 'object' || value === null) return false
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>
  return (
    typeof aborted === 'boolean' &&
    typeof addEventListener === 'function' &&
    typeof removeEventListener === 'function'
  )
}
