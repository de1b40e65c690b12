// Counters: read in place from the memory that the engine writes, without garbage.
import { misuse } from './errors.js'
import { describe } from './options/given.js'
import { float64Length } from './options/typed_arrays.js'

/** Any set of counters. Values are cumulative float64 numbers, exact up to 2^53. */
export abstract class Counters<Name extends string> {
  /** The names, in the order in which {@link copyTo} writes the values. */
  abstract readonly names: readonly Name[]
  #words: Float64Array
  #refresh: (() => void) | undefined

  /** @internal `refresh` brings the words up to date where they are not always. */
  constructor(words: Float64Array, refresh?: () => void) {
    this.#words = words
    this.#refresh = refresh
  }

  /** @internal */
  get _words(): Float64Array {
    this.#refresh?.()
    return this.#words
  }

  /** @internal Keeps the values when the words behind them get another meaning. */
  _freeze(): void {
    this.#words = Float64Array.from(this._words)
    this.#refresh = undefined
  }

  /**
   * Writes all values to `target`, which needs room for `names.length` of them. Allocates nothing. Returns `target`. Throws
   * `ZERIO_BAD_ARGUMENT` unless it is a Float64Array that has the room.
   */
  copyTo(target: Float64Array): Float64Array {
    const count = this.names.length
    const room = float64Length(target)
    if (room < count) {
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `Counters are copied into a Float64Array of at least ${count} elements, not ${room < 0 ? describe(target) : `one of ${room}`}.`
      )
    }
    const words = this._words
    for (let i = 0; i < count; i++) target[i] = words[i]
    return target
  }

  /** A plain object with all values, for logging. Allocates. */
  toJSON(): Record<Name, number> {
    const result = {} as Record<Name, number>
    this.names.forEach((name, index) => {
      result[name] = this._words[index]
    })
    return result
  }
}

const connectionNames = [
  'messagesSent',
  'backPressured',
  'messagesReceived',
  'bytesReceived',
  'bytesSent',
  'receives',
  'sends'
] as const

/** Of one connection. They stay readable, and still, after its end. */
export class ConnectionCounters extends Counters<(typeof connectionNames)[number]> {
  readonly names = connectionNames
  /** Messages taken by `send` and `commit`. */
  get messagesSent(): number {
    return this._words[0]
  }
  /** Calls of `send` and `claim` refused with `BackPressured`. */
  get backPressured(): number {
    return this._words[1]
  }
  /** Messages from the other side, control frames not included. */
  get messagesReceived(): number {
    return this._words[2]
  }
  /** Bytes from the socket, headers and control frames included. */
  get bytesReceived(): number {
    return this._words[3]
  }
  /** Bytes that the socket took, headers and control frames included. */
  get bytesSent(): number {
    return this._words[4]
  }
  /** System calls (or completions) that received something. */
  get receives(): number {
    return this._words[5]
  }
  /** System calls (or submissions) that sent. */
  get sends(): number {
    return this._words[6]
  }
}

const serverNames = [
  'accepted',
  'acceptErrors',
  'handshakes',
  'peers',
  'connected',
  'disconnected',
  'refused',
  'protocolErrors',
  'duplicateIds',
  'handshakeTimeouts',
  'tooManyHandshakes',
  'serverFull',
  'messagesReceived',
  'bytesReceived',
  'bytesSent',
  'heartbeatTimeouts',
  'idleTimeouts',
  'ended',
  'lingersCut',
  'newcomersEvicted'
] as const

/** Of one server, since its last `start`. */
export class ServerCounters extends Counters<(typeof serverNames)[number]> {
  readonly names = serverNames
  /** Connections accepted from the system. */
  get accepted(): number {
    return this._words[0]
  }
  /** Attempts to accept a connection that the system refused. */
  get acceptErrors(): number {
    return this._words[1]
  }
  /** Gauge: connections that have not said who they are. */
  get handshakes(): number {
    return this._words[2]
  }
  /** Gauge: connected peers. */
  get peers(): number {
    return this._words[3]
  }
  /** Peers that came. */
  get connected(): number {
    return this._words[4]
  }
  /** Peers that left. */
  get disconnected(): number {
    return this._words[5]
  }
  /** Connections that never became peers, for whatever reason. */
  get refused(): number {
    return this._words[6]
  }
  /** Connections closed because they broke the protocol. */
  get protocolErrors(): number {
    return this._words[7]
  }
  /** Connections refused because a connected peer had their id. */
  get duplicateIds(): number {
    return this._words[8]
  }
  /** Connections closed because their first frame was not complete within `handshakeTimeoutMs`. */
  get handshakeTimeouts(): number {
    return this._words[9]
  }
  /** Connections closed because the server had `maxHandshakes` that were no peers. */
  get tooManyHandshakes(): number {
    return this._words[10]
  }
  /** Connections refused because the server had `maxPeers` peers. */
  get serverFull(): number {
    return this._words[11]
  }
  /** Messages of all peers. */
  get messagesReceived(): number {
    return this._words[12]
  }
  /** Bytes from all sockets of the server, headers and control frames included. */
  get bytesReceived(): number {
    return this._words[13]
  }
  /** Bytes that all sockets of the server took, headers and control frames included. */
  get bytesSent(): number {
    return this._words[14]
  }
  /** Peers closed because they were silent for four heartbeats, or after a question. */
  get heartbeatTimeouts(): number {
    return this._words[15]
  }
  /** Connections closed because nothing came from them for `idleTimeoutMs`. */
  get idleTimeouts(): number {
    return this._words[16]
  }
  /** Gauge: connections that have ended or were refused, and still send what was accepted or wait for the other side's end. */
  get ended(): number {
    return this._words[17]
  }
  /** Ended connections that were closed before their time, to make place for newcomers. */
  get lingersCut(): number {
    return this._words[18]
  }
  /** Newcomers that were refused, before they had introduced themselves, to make place for later ones. */
  get newcomersEvicted(): number {
    return this._words[19]
  }
}

const engineNames = [
  'polls',
  'events',
  'receives',
  'sends',
  'sendsBlocked',
  'bytesReceived',
  'bytesSent',
  'messagesReceived',
  'messagesAssembled',
  'corruptions'
] as const

/** Of one engine, over all its servers and clients. */
export class EngineCounters extends Counters<(typeof engineNames)[number]> {
  readonly names = engineNames
  /** How often the engine asked the system. */
  get polls(): number {
    return this._words[0]
  }
  /** What the engine handed to JavaScript: runs of messages, connections that came and went. */
  get events(): number {
    return this._words[1]
  }
  /** System calls (or completions) that received something. */
  get receives(): number {
    return this._words[2]
  }
  /** System calls (or submissions) that sent. */
  get sends(): number {
    return this._words[3]
  }
  /** Sends that the system did not take whole: its buffer was full. */
  get sendsBlocked(): number {
    return this._words[4]
  }
  /** Bytes from all sockets, headers and control frames included. */
  get bytesReceived(): number {
    return this._words[5]
  }
  /** Bytes that all sockets took, headers and control frames included. */
  get bytesSent(): number {
    return this._words[6]
  }
  /** Messages of all connections. */
  get messagesReceived(): number {
    return this._words[7]
  }
  /** Messages that were split over receives and had to be copied together. */
  get messagesAssembled(): number {
    return this._words[8]
  }
  /** Connections ended because the program had overwritten their control words. */
  get corruptions(): number {
    return this._words[9]
  }
}
