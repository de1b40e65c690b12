// Where one server listens: what it asks the engine for, and the errors when that is refused.
import { NativeError } from '../engine/layout.js'
import { systemError, ZerioError } from '../errors.js'
import { type CheckedAddress, hostOfPath, pathOfHost, placeDetails, placeText } from '../options/address.js'

/** Where a server listens, as programs read it. */
export interface Listening {
  readonly host: string
  readonly port: number
  readonly path: string
}

/** What a server that does not listen has. */
export const nowhere: Listening = { host: '', port: 0, path: '' }

/** What the engine says of where it listens. */
export function listeningOf(address: CheckedAddress, host: string, port: number): Listening {
  const path = pathOfHost(host)
  if (path === undefined) return { host, port, path: '' }
  return { host: '', port: 0, path: address.kind === 'path' ? address.path : path }
}

/** The hosts on one of which the server listens, as the engine takes them. `lookup` is asked for those of a name. */
export async function hostsOf(
  address: CheckedAddress,
  lookup: (name: string) => Promise<readonly string[]>
): Promise<readonly string[]> {
  if (address.kind === 'path') return [hostOfPath(address.path)]
  if (address.kind === 'descriptor') return ['']
  if (address.host === undefined) return ['::', '0.0.0.0']
  return (await lookup(address.host)).slice(0, 1)
}

/** Why the engine does not listen there. `errno` is positive. */
export function listenError(errno: number, address: CheckedAddress, host: string): ZerioError {
  if (errno === NativeError.TooManyServers) {
    return new ZerioError(
      'ZERIO_TOO_MANY_SERVERS',
      'An engine has at most 64 servers; stop some, or use more threads.'
    )
  }
  if (address.kind === 'descriptor')
    return systemError(errno, `Cannot listen on the descriptor ${address.fd}`, { syscall: 'listen' })
  const port = address.kind === 'port' ? address.port : 0
  return systemError(errno, `Cannot listen on ${placeText(host, port)}`, {
    syscall: 'listen',
    ...placeDetails(host, port)
  })
}

/** A server's second start on a descriptor, which its first one has closed. */
export function descriptorIsClosed(fd: number): ZerioError {
  return new ZerioError(
    'EBADF',
    `Cannot listen on the descriptor ${fd} again: EBADF, this server has closed it when it stopped; make a new server for a new descriptor.`,
    { syscall: 'listen' }
  )
}
