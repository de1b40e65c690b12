// Counters: read in place from the memory that the engine writes, without garbage.
import { namesOf } from './engine/border.js'
import { ConnectionCounter, EngineCounter, ServerCounter } from './engine/layout.js'
import { misuse } from './errors.js'
import { describe } from './options/given.js'
import { float64Length } from './options/typed_arrays.js'

/** A set of counters. Values are float64 numbers that grow until the end of what they count, exact up to 2^53; gauges go down, too. */
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

  /** @internal Brings those up to date that take a while. */
  _settle(): void {}

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
    this._settle()
    const words = this._words
    for (let i = 0; i < count; i++) target[i] = words[i]
    return target
  }

  /** A plain object with all values, for logging. Allocates. */
  toJSON(): Record<Name, number> {
    this._settle()
    const result = {} as Record<Name, number>
    this.names.forEach((name, index) => {
      result[name] = this._words[index]
    })
    return result
  }
}

/** The names of an enumeration of counters, as properties have them. */
function counterNames<Name extends string>(enumeration: string): readonly Uncapitalize<Name>[] {
  return namesOf(enumeration).map((name) => (name[0].toLowerCase() + name.slice(1)) as Uncapitalize<Name>)
}

const connectionNames = counterNames<keyof typeof ConnectionCounter>('ConnectionCounter')

/** Counters of one connection. After its end they can still be read, and do not change any more. */
export class ConnectionCounters extends Counters<Uncapitalize<keyof typeof ConnectionCounter>> {
  readonly names = connectionNames
  /** Messages accepted by `send` and `commit`. */
  get messagesSent(): number {
    return this._words[ConnectionCounter.MessagesSent]
  }
  /** Calls of `send` and `claim` refused with `BackPressured`. */
  get backPressured(): number {
    return this._words[ConnectionCounter.BackPressured]
  }
  /** Messages received, whether or not a handler was there. */
  get messagesReceived(): number {
    return this._words[ConnectionCounter.MessagesReceived]
  }
  /** Bytes from the socket, headers and control frames included. */
  get bytesReceived(): number {
    return this._words[ConnectionCounter.BytesReceived]
  }
  /** Bytes that the socket took, headers and control frames included. */
  get bytesSent(): number {
    return this._words[ConnectionCounter.BytesSent]
  }
  /** System calls (or completions) that received something. */
  get receives(): number {
    return this._words[ConnectionCounter.Receives]
  }
  /** Sends, each one system call or submission, or a few system calls for a long message. */
  get sends(): number {
    return this._words[ConnectionCounter.Sends]
  }
}

const serverNames = counterNames<keyof typeof ServerCounter>('ServerCounter')

/** Counters of one server, since its last `start`. */
export class ServerCounters extends Counters<Uncapitalize<keyof typeof ServerCounter>> {
  readonly names = serverNames
  /** Connections accepted from the system. */
  get accepted(): number {
    return this._words[ServerCounter.Accepted]
  }
  /** Times that the system refused to accept, with `EMFILE` for instance. */
  get acceptErrors(): number {
    return this._words[ServerCounter.AcceptErrors]
  }
  /** Gauge: connections that have not said who they are. */
  get handshakes(): number {
    return this._words[ServerCounter.Handshakes]
  }
  /** Gauge: connected peers. */
  get peers(): number {
    return this._words[ServerCounter.Peers]
  }
  /** Peers that have connected. */
  get connected(): number {
    return this._words[ServerCounter.Connected]
  }
  /** Peers that have disconnected. */
  get disconnected(): number {
    return this._words[ServerCounter.Disconnected]
  }
  /** Connections that never became peers, for whatever reason. */
  get refused(): number {
    return this._words[ServerCounter.Refused]
  }
  /** Connections ended because they broke the protocol. */
  get protocolErrors(): number {
    return this._words[ServerCounter.ProtocolErrors]
  }
  /** Connections refused because a connected peer had their id. */
  get duplicateIds(): number {
    return this._words[ServerCounter.DuplicateIds]
  }
  /** Connections refused because they did not say who they are within `handshakeTimeoutMs`. */
  get handshakeTimeouts(): number {
    return this._words[ServerCounter.HandshakeTimeouts]
  }
  /** Connections refused because there were `maxHandshakes` others. */
  get tooManyHandshakes(): number {
    return this._words[ServerCounter.TooManyHandshakes]
  }
  /** Connections refused because `maxPeers` peers were connected. */
  get serverFull(): number {
    return this._words[ServerCounter.ServerFull]
  }
  /** Messages received from all peers. */
  get messagesReceived(): number {
    return this._words[ServerCounter.MessagesReceived]
  }
  /** Bytes from all sockets, headers and control frames included. */
  get bytesReceived(): number {
    return this._words[ServerCounter.BytesReceived]
  }
  /** Bytes that all sockets took, headers and control frames included. */
  get bytesSent(): number {
    return this._words[ServerCounter.BytesSent]
  }
  /** Peers ended because they gave no sign of life; see `heartbeatMs` and `duplicateIds`. */
  get heartbeatTimeouts(): number {
    return this._words[ServerCounter.HeartbeatTimeouts]
  }
  /** Peers ended because nothing came from them for `idleTimeoutMs`. */
  get idleTimeouts(): number {
    return this._words[ServerCounter.IdleTimeouts]
  }
  /** Gauge: connections that have ended or were refused, and still send what was accepted or wait for the other side's end. */
  get ended(): number {
    return this._words[ServerCounter.Ended]
  }
  /** Ended connections that were closed before their time, to make place for newcomers. */
  get lingersCut(): number {
    return this._words[ServerCounter.LingersCut]
  }
  /** Newcomers that were refused, before they had introduced themselves, to make place for later ones. */
  get newcomersEvicted(): number {
    return this._words[ServerCounter.NewcomersEvicted]
  }
  /** Gauge: peers whose session waits for its next connection; they count as connected. */
  get suspended(): number {
    return this._words[ServerCounter.Suspended]
  }
  /** Sessions that went on with a new connection. */
  get resumed(): number {
    return this._words[ServerCounter.Resumed]
  }
  /** Sessions that could not be resumed: their time was over, or a client asked for one that there is not. */
  get sessionsLost(): number {
    return this._words[ServerCounter.SessionsLost]
  }
}

const engineNames = counterNames<keyof typeof EngineCounter>('EngineCounter')

/** Counters of one engine, over all its servers and clients. */
export class EngineCounters extends Counters<Uncapitalize<keyof typeof EngineCounter>> {
  readonly names = engineNames
  /** Times that the engine looked for something to do. */
  get polls(): number {
    return this._words[EngineCounter.Polls]
  }
  /** Events handed to JavaScript; consecutive messages of one connection are one. */
  get events(): number {
    return this._words[EngineCounter.Events]
  }
  /** System calls (or completions) that received something. */
  get receives(): number {
    return this._words[EngineCounter.Receives]
  }
  /** Sends, each one system call or submission, or a few system calls for a long message. */
  get sends(): number {
    return this._words[EngineCounter.Sends]
  }
  /** Sends that the system did not take whole, because its buffer was full. */
  get sendsBlocked(): number {
    return this._words[EngineCounter.SendsBlocked]
  }
  /** Bytes from all sockets, headers and control frames included. */
  get bytesReceived(): number {
    return this._words[EngineCounter.BytesReceived]
  }
  /** Bytes that all sockets took, headers and control frames included. */
  get bytesSent(): number {
    return this._words[EngineCounter.BytesSent]
  }
  /** Messages received. */
  get messagesReceived(): number {
    return this._words[EngineCounter.MessagesReceived]
  }
  /** Messages that were split over receives and had to be copied together. */
  get messagesAssembled(): number {
    return this._words[EngineCounter.MessagesAssembled]
  }
  /** Connections ended because the program had overwritten their control words. */
  get corruptions(): number {
    return this._words[EngineCounter.Corruptions]
  }
}
