// One attempt of a client to connect: the addresses of its host race, and the first connection that a server takes wins.
import { debugLog } from '../debug_log.js'
import type { Engine } from '../engine/engine.js'
import { placeText } from '../options/address.js'
import type { ResolvedClientOptions } from '../options/options.js'
import { ClientConnection, type ConnectionOwner } from './client_connection.js'
import type { Destination } from './destination.js'
import { Race } from './race.js'

export interface Attempt {
  readonly owner: ConnectionOwner
  readonly engine: Engine
  readonly destination: Destination
  readonly options: ResolvedClientOptions
  readonly peerId: string
  /** Whether it keeps the process alive. */
  readonly referenced: boolean
  /** The slot of the suspended connection whose session is to go on, or -1. */
  readonly resumes: number
  /** How long it may still take, in milliseconds. */
  remainingMs(): number
}

export function raceOf(attempt: Attempt, hosts: readonly string[]): Race<ClientConnection> {
  const { owner, engine, destination, peerId } = attempt
  const { protocol, ...options } = attempt.options
  const { failures } = destination
  const request = {
    ...options,
    classic: protocol === 'classic',
    id: peerId,
    ...destination.request,
    resumes: attempt.resumes,
    holdsHello: hosts.length > 1
  }
  const open = (host: string): ClientConnection => {
    engine.reserveSlot()
    debugLog?.(`client ${owner._label} connects to ${placeText(host, destination.port)}`)
    const slot = engine.native.connect({ ...request, host, connectTimeoutMs: attempt.remainingMs() })
    if (slot < 0) throw failures.system(-slot, host)
    const ring = engine.takeSlot(slot)
    const wantsSession = options.resumeMs > 0
    const connection = new ClientConnection(owner, engine, ring, host, race, attempt.referenced, wantsSession)
    engine.setConnection(slot, connection)
    return connection
  }
  const race = new Race(destination.host, hosts, open, (host) =>
    failures.timeout(host, 'the address did not answer')
  )
  return race
}
